"""What is left out of Flask is missed by nobody."""

import pytest
from flask import url_for
from service_kit import open_service


@pytest.fixture
def service(tmp_path):
    made = open_service(tmp_path, "Obedient")
    yield made
    made.close()


def test_an_address_is_found_for_each_method_however_often_it_was_asked_for(service):
    address = f"/executions/{service.add_execution().id}"
    for _ in range(3):
        assert service.client.get(address).status_code == 200
        options = service.client.options(address)
        assert set(options.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "DELETE"}
        refused = service.client.patch(address)
        assert refused.status_code == 405
        assert "DELETE" in refused.headers["Allow"]
        assert service.client.get(f"{address}x").status_code == 404


def test_the_head_of_an_answer_tells_of_a_body_and_has_none(service):
    address = f"/executions/{service.add_execution().id}"
    got, head = service.client.get(address), service.client.head(address)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(got.data))
    assert {name for name, _ in head.headers} == {name for name, _ in got.headers}


def test_what_is_remembered_of_addresses_has_a_bound(service, monkeypatch):
    monkeypatch.setattr("app.resources._flask._KEPT_ADDRESSES", 5)
    known = service.web.app.known_addresses
    for number in range(50):
        assert service.client.get(f"/executions/{number}").status_code == 404
        assert len(known) <= 5
    known.clear()
    service.client.get("/executions/" + "x" * 1000)
    assert not known


def test_an_address_can_be_built_all_the_same(service):
    with service.web.app.test_request_context():
        built = url_for("root.executions.get_execution", execution_id="a b", wait=3)
    assert built == "/executions/a%20b?wait=3"

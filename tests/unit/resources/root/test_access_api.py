"""Who may do what, beyond what holds for every endpoint (``test_access_matrix.py``)."""

import base64
import json

import pytest
from service_kit import basic, open_service, users

from app.domain import ExecutionStatus, Observation

DEFINITION = {"id": "new", "steps": [{"id": "a", "type": "script", "config": {"script": "true"}}]}


@pytest.fixture
def things(guarded, as_user):
    """An execution and a key of ada's, and the places of them in addresses."""
    execution = guarded.add_execution("ada")
    guarded.record(execution, Observation(ExecutionStatus.RUNNING, cursor=None))
    key = guarded.client.post("/ssh_keys", headers=as_user("ada")).json["id"]
    (guarded.settings.workflows_dir / "flow.yaml").write_text(
        json.dumps({**DEFINITION, "id": "flow"})
    )
    return {
        "execution_id": execution.id, "key_id": key, "name": "first", "reference": "flow",
        "username": "ada",
    }  # fmt: skip


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A service with authentication, on which nothing is changed."""
    service = open_service(tmp_path_factory.mktemp("closed"), api__auth=users())
    yield service
    service.close()


class TestAuthentication:
    @pytest.mark.parametrize(
        "header",
        [
            "", "Basic", "Basic ", "Basic !!!", "Basic YWRh", "basic", "Bearer x", "Basic Og==",
            "Basic " + base64.b64encode(b"ada:wrong").decode(),
            "Basic " + base64.b64encode(b"eve:ada's pass").decode(),
            "Basic " + base64.b64encode(b":ada's pass").decode(),
            "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
            "Basic " + base64.b64encode(b"ada\x00:ada's pass").decode(),
            "Basic " + base64.b64encode(b"ada:" + b"long and wrong, " * 3_000).decode(),
        ],
    )  # fmt: skip
    def test_wrong_credentials_are_401(self, closed, assert_problem, header):
        response = closed.client.get("/workflows", headers={"Authorization": header})
        assert_problem(response, 401, "not_authenticated")

    @pytest.mark.parametrize("name", ["ada", "bob", "dev", "ops", "root"])
    def test_right_ones_open_the_door(self, closed, as_user, name):
        assert closed.client.get("/workflows", headers=as_user(name)).status_code == 200

    def test_without_authentication_everybody_may_do_everything(self, client):
        assert client.post("/workflows", json=DEFINITION).status_code == 201
        location = client.post("/workflows/new").headers["Location"]
        assert client.get(location).json["owner"] == "anonymous"


class TestOwnership:
    def test_lists_hold_ones_own_only(self, guarded, things, as_user):
        client = guarded.client
        for name in ("bob", "dev"):
            for query in ("", "?owner=ada", "?owner=ada&status=RUNNING"):
                response = client.get(f"/executions{query}", headers=as_user(name))
                assert response.json["executions"] == []
                assert json.loads(response.headers["X-Pagination"])["total"] == 0
            assert client.get("/ssh_keys", headers=as_user(name)).json["ssh_keys"] == []
        assert len(client.get("/executions", headers=as_user("ada")).json["executions"]) == 1

    @pytest.mark.parametrize("name", ["ops", "root"])
    def test_operators_see_and_steer_the_executions_of_all(self, guarded, things, as_user, name):
        client, headers = guarded.client, as_user(name)
        url = f"/executions/{things['execution_id']}"
        listed = client.get("/executions?owner=ada", headers=headers).json["executions"]
        assert [e["owner"] for e in listed] == ["ada"]
        assert client.get(url, headers=headers).json["owner"] == "ada"
        assert client.get(f"{url}/logs?timeout=0", headers=headers).status_code == 200
        assert client.post(f"{url}/pause", headers=headers).status_code == 202
        assert client.post(f"{url}/resume", headers=headers).status_code == 202
        assert client.delete(url, headers=headers).status_code == 202

    def test_an_execution_belongs_to_who_started_it(self, guarded, things, as_user):
        client = guarded.client
        location = client.post("/workflows/flow", headers=as_user("bob")).headers["Location"]
        assert client.get(location, headers=as_user("bob")).json["owner"] == "bob"
        assert client.get(location, headers=as_user("ada")).status_code == 404


def test_a_faulty_definition_of_somebody_who_may_not_is_not_even_read(
    guarded, as_user, assert_problem
):
    response = guarded.client.post("/workflows", json={"id": 1}, headers=as_user("ada"))
    assert_problem(response, 403, "not_allowed")


def test_wrong_logins_are_slowed_down_by_the_address_that_trusted_proxies_tell(
    make_service, as_user
):
    service = make_service(api__auth=users(), api__proxies=1)

    def answer(headers, client):
        forwarded = {"X-Forwarded-For": f"203.0.113.9, {client}"}
        return service.client.get("/workflows", headers={**headers, **forwarded})

    for i in range(5):
        assert answer(basic("ada", f"wrong {i}"), "10.0.0.1").status_code == 401
    refused = answer(as_user("ada"), "10.0.0.1")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert answer(as_user("ada"), "10.0.0.2").status_code == 200


def test_without_proxies_what_they_would_tell_counts_for_nothing(make_service, as_user):
    service = make_service(api__auth=users())
    for i in range(5):
        headers = {**basic("ada", f"wrong {i}"), "X-Forwarded-For": f"10.0.0.{i}"}
        assert service.client.get("/workflows", headers=headers).status_code == 401
    headers = {**as_user("ada"), "X-Forwarded-For": "10.0.0.99"}
    assert service.client.get("/workflows", headers=headers).status_code == 429

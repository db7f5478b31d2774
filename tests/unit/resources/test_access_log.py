import json
import logging

import pytest
import structlog
from service_kit import users

from app.observability import configure_logging


@pytest.fixture
def make(make_service, capsys):
    root = logging.getLogger()
    handlers, level = root.handlers, root.level

    def made(mode):
        service = make_service(api__auth=users(), observability__access_log=mode)
        configure_logging("INFO", "json")
        return service

    yield made
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def lines(capsys):
    def read():
        told = (json.loads(line) for line in capsys.readouterr().err.splitlines() if line[0] == "{")
        return [
            line for line in told if line["event"] in ("request", "stream opened", "stream ended")
        ]

    return read


def test_by_default_what_may_change_something_and_what_fails_is_logged(make, as_user, lines):
    client = make("changes").client
    client.get("/workflows", headers=as_user("ada"))
    client.get("/nowhere?ticket=secret")
    client.post("/ssh_keys", headers=as_user("ada"), json={})
    failed, made = lines()
    assert (failed["method"], failed["path"], failed["status"]) == ("GET", "/nowhere", 404)
    assert (made["method"], made["path"], made["status"]) == ("POST", "/ssh_keys", 201)
    assert made["user"] == "ada"
    assert made["credential"].startswith("basic:ada")
    assert made["address"] == "127.0.0.1"
    assert made["bytes"] > 50
    assert made["took_ms"] >= 0
    assert made["request_id"]


def test_off_logs_no_request(make, as_user, lines):
    client = make("off").client
    client.post("/ssh_keys", headers=as_user("ada"), json={})
    client.get("/nowhere")
    assert lines() == []


def test_all_logs_reads_as_well_and_no_query(make, as_user, lines):
    service = make("all")
    client = service.client
    answer = client.get("/workflows?q=secret", headers=as_user("ada"))
    client.get("/health")
    read, health = lines()
    assert (read["path"], read["bytes"]) == ("/workflows", len(answer.data))
    assert "secret" not in json.dumps(read)
    assert (health["path"], health["user"]) == ("/health", None)


def test_a_stream_is_logged_when_it_is_opened_and_when_it_ends(make, as_user, lines):
    service = make("all")
    headers = {**as_user("ada"), "Accept": "text/event-stream"}
    path = f"/executions/{service.add_execution('ada').id}/logs"
    with service.client.get(path, headers=headers) as stream:
        first = next(stream.iter_encoded())
        (opened,) = lines()
        assert (opened["event"], opened["path"], opened["status"]) == ("stream opened", path, 200)
    (ended,) = lines()
    assert (ended["event"], ended["path"]) == ("stream ended", path)
    assert ended["bytes"] >= len(first)
    assert ended["request_id"] == opened["request_id"]


def test_a_line_end_in_an_address_makes_no_second_line(make, capsys):
    make("changes").client.get("/x%0A%7B%22event%22:%22request%22%7D")
    configure_logging("INFO", "console")
    assert '\n{"event":"request"' not in capsys.readouterr().err

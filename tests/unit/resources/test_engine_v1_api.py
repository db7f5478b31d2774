"""The Workflow Engine's API: what every request is answered with, whatever is behind it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from service_kit import PASSWORDS, Service, basic, open_service, users
from werkzeug.test import TestResponse

API = "/api/v1"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

ENDPOINTS = [
    ("POST", "/workflows"), ("GET", "/workflows/test"), ("DELETE", "/workflows/test"),
    ("GET", "/executions"), ("GET", "/executions/exec-abc123"),
    ("POST", "/executions/exec-abc123/pause"), ("POST", "/executions/exec-abc123/resume"),
    ("POST", "/executions/exec-abc123/scale"), ("DELETE", "/executions/exec-abc123"),
    ("GET", "/executions/exec-abc123/metrics"), ("GET", "/executions/exec-abc123/ws"),
    ("GET", "/slaves"), ("GET", "/slaves/slave-1"), ("POST", "/slaves/slave-1/drain"),
]  # fmt: skip
"""All that need somebody behind them."""


def refused(response: TestResponse, status: int, code: str) -> str:
    """Check that a request was refused in the form of this API, and return the message."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/json"
    assert response.json.keys() == {"error", "message"}
    assert response.json["error"] == code
    message = response.json["message"]
    assert isinstance(message, str)
    assert message
    return message


@pytest.fixture(scope="module")
def without_load(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service in which virtual users are switched off."""
    service = open_service(
        tmp_path_factory.mktemp("off"), load__enabled=False,
        orchestrators=[{"name": "remote", "type": "fakes.orchestrators:ObedientOrchestrator"}],
    )  # fmt: skip
    yield service
    service.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    service = open_service(tmp_path_factory.mktemp("guarded"), api__auth=users())
    yield service
    service.close()


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_without_virtual_users_nothing_of_this_is_implemented(
    without_load: Service, method: str, path: str
) -> None:
    for body in ({}, {"data": "{"}, {"json": {"target_vus": 5}}):
        response = without_load.client.open(f"{API}{path}", method=method, **body)
        refused(response, 501, "not_implemented")


@pytest.mark.parametrize("prefix", ["", API])
def test_health_and_readiness_are_told_at_both_places(without_load: Service, prefix: str) -> None:
    health = without_load.client.get(f"{prefix}/health")
    assert health.status_code == 200
    assert health.json.keys() == {"status", "timestamp"}
    assert health.json["status"] == "healthy"
    ready = without_load.client.get(f"{prefix}/ready")
    assert {"ready", "status", "timestamp"} <= ready.json.keys()
    for answer in (health, ready):
        assert MOMENT.fullmatch(answer.json["timestamp"])


@pytest.mark.parametrize("path", ["", "/nothing", "/workflows/a/b", "/executions/exec-1/nothing"])
def test_unknown_addresses_are_in_the_envelope(without_load: Service, path: str) -> None:
    for method in ("GET", "POST"):
        refused(without_load.client.open(f"{API}{path}", method=method), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/workflows"), ("PATCH", "/slaves/s"), ("GET", "/workflows"), ("POST", "/health")],
)
def test_unknown_methods_are_in_the_envelope(without_load: Service, method: str, path: str) -> None:
    response = without_load.client.open(f"{API}{path}", method=method)
    refused(response, 405, "method_not_allowed")
    assert response.headers["Allow"]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_nobody_is_told_anything_without_a_key(guarded: Service, method: str, path: str) -> None:
    response = guarded.client.open(f"{API}{path}", method=method)
    refused(response, 401, "unauthorized")
    assert response.headers["WWW-Authenticate"]


def test_users_may_not_submit_nor_see_slaves(guarded: Service) -> None:
    headers = basic("ada", PASSWORDS["ada"])
    for method, path in (("POST", "/workflows"), ("GET", "/slaves"), ("POST", "/slaves/s/drain")):
        response = guarded.client.open(f"{API}{path}", method=method, headers=headers)
        refused(response, 403, "forbidden")


def test_strange_hosts_and_large_bodies_are_refused_in_the_envelope(without_load: Service) -> None:
    response = without_load.client.get(f"{API}/slaves", headers={"Host": "elsewhere.example"})
    refused(response, 421, "invalid_request")


# With virtual users behind it, and no slave


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    service = open_service(tmp_path_factory.mktemp("on"))
    yield service
    service.close()


STEP = {"id": "s1", "type": "http", "config": {"url": "http://127.0.0.1/get"}}
WORKFLOW = {"id": "test", "steps": [STEP]}
JSON = {"content_type": "application/json"}


@pytest.mark.parametrize(
    ("status", "code", "body", "said"),
    [
        (400, "invalid_request", {"json": {}}, "Either 'workflow' or 'yaml' must be provided"),
        (400, "invalid_request", {"json": {"yaml": ""}}, "Either 'workflow' or 'yaml' must be"),
        (400, "invalid_request", {"json": {"yaml": None, "workflow": None}}, "Either"),
        (400, "invalid_request", {"json": {"yaml": "a", "workflow": WORKFLOW}}, "Only one of"),
        (400, "invalid_request", {"json": {"yaml": 5}}, "yaml"),
        (400, "invalid_request", {"json": {"workflow": "text"}}, "workflow"),
        (400, "invalid_request", {"json": {"workflow": WORKFLOW, "more": 1}}, "more"),
        (400, "invalid_request", {"json": [WORKFLOW]}, "object"),
        (400, "invalid_request", {"data": "{", **JSON}, "JSON"),
        (400, "invalid_request", {"data": "", **JSON}, "body"),
        (415, "invalid_request", {"data": "id: x", "content_type": "text/yaml"}, "json"),
        (413, "invalid_request", {"data": b" " * 30_000_000, **JSON}, ""),
        (400, "invalid_workflow", {"json": {"yaml": "id: ["}}, ""),
        (400, "invalid_workflow", {"json": {"workflow": {"id": "x"}}}, "steps"),
        (400, "invalid_workflow",
         {"json": {"workflow": {"id": "x", "steps": [{**STEP, "type": "grpc"}]}}}, "steps[0].type"),
        (500, "submission_failed", {"json": {"workflow": WORKFLOW}}, "slave"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_submission_is_told(
    shared: Service, status: int, code: str, body: dict[str, Any], said: str
) -> None:
    response = shared.client.post(f"{API}/workflows", **body)
    assert said in refused(response, status, code)
    assert shared.client.get(f"{API}/executions").json == {"executions": [], "total": 0}


def test_an_execution_is_known_by_each_of_its_ids_and_others_are_not(tmp_path: Path) -> None:
    service = open_service(tmp_path)
    other = service.add_execution()
    mine = service.add_execution(
        accepted=False, reference={"definition": "none"}, orchestrator="load",
        upstream_id="exec-0123456789ab", workflow_id="test",
    )  # fmt: skip
    client = service.client
    for name in ("exec-0123456789ab", mine.id, mine.awf_name):
        found = client.get(f"{API}/executions/{name}")
        assert (found.json["id"], found.json["status"]) == ("exec-0123456789ab", "pending")
        metrics = client.get(f"{API}/executions/{name}/metrics").json
        assert (metrics["execution_id"], metrics["step_metrics"]) == ("exec-0123456789ab", {})
    assert [row["id"] for row in client.get(f"{API}/executions").json["executions"]] == [
        "exec-0123456789ab"
    ]
    for name in (other.id, other.awf_name, "exec-999999999999", "x" * 300, "%00"):
        for method, verb in (("GET", ""), ("GET", "/metrics"), ("DELETE", ""), ("POST", "/pause")):
            answer = client.open(f"{API}/executions/{name}{verb}", method=method)
            refused(answer, 404, "not_found")
    assert client.get(f"{API}/workflows/test").json == {"id": "test", "status": "pending"}
    for name in ("flow", "Flow", "nothing", "%00"):
        refused(client.get(f"{API}/workflows/{name}"), 404, "not_found")
        refused(client.delete(f"{API}/workflows/{name}"), 404, "not_found")
    assert client.delete(f"{API}/workflows/test").json["success"] is True
    service.close()


class TestIdsOfOthers:
    """A definition that is good for the engine, too, goes there through the root API."""

    STEPS = "steps:\n- {id: s1, type: http, config: {url: 'http://127.0.0.1:1/'}}\n"

    def upload(self, service: Service, name: str, by: str) -> TestResponse:
        headers = {**basic(by, PASSWORDS[by]), "Content-Type": "application/yaml"}
        return service.client.post("/workflows", data=f"id: {name}\n{self.STEPS}", headers=headers)

    def submit(self, service: Service, name: str, by: str) -> TestResponse:
        headers = basic(by, PASSWORDS[by])
        body = {"yaml": f"id: {name}\nname: {name}\n{self.STEPS}"}
        return service.client.post(f"{API}/workflows", json=body, headers=headers)

    @pytest.mark.parametrize(("by", "whose"), [("dev", "your workflow"), ("root", "of 'dev'")])
    def test_an_id_of_the_engine_is_not_taken(self, guarded: Service, by: str, whose: str) -> None:
        name = f"engines-{by}"
        assert self.upload(guarded, name, "dev").status_code == 201
        message = refused(self.submit(guarded, name, by), 409, "conflict")
        assert "'local'" in message
        assert whose in message
        headers = basic("ada", PASSWORDS["ada"])
        described = guarded.client.get(f"/workflows/{name}", headers=headers)
        assert (described.status_code, described.json["orchestrator"]) == (200, "local")

    @pytest.mark.parametrize("by", ["dev", "root"])
    def test_nor_does_the_engine_take_one_that_was_submitted(
        self, guarded: Service, by: str
    ) -> None:
        name = f"submitted-{by}"
        refused(self.submit(guarded, name, "dev"), 500, "submission_failed")  # there is no slave
        answer = self.upload(guarded, name, by)
        assert answer.status_code == 409
        assert "'load'" in answer.json["detail"]
        headers = basic("ada", PASSWORDS["ada"])
        described = guarded.client.get(f"/workflows/{name}", headers=headers)
        assert (described.status_code, described.json["orchestrator"]) == (200, "load")
        removal = f"/workflows/{name}?orchestrator=load"
        dev = basic("dev", PASSWORDS["dev"])
        assert guarded.client.delete(removal, headers=dev).status_code == 204

    def test_what_the_engine_runs_is_no_workflow_of_this_api(self, guarded: Service) -> None:
        assert self.upload(guarded, "run-there", "dev").status_code == 201
        dev = basic("dev", PASSWORDS["dev"])
        assert guarded.client.post("/workflows/run-there", headers=dev).status_code == 201
        for method in ("GET", "DELETE"):
            answer = guarded.client.open(f"{API}/workflows/run-there", method=method, headers=dev)
            refused(answer, 404, "not_found")

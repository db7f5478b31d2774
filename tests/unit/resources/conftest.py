from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus

import pytest
from service_kit import Service, open_service
from werkzeug.test import TestResponse

from app.domain import ExecutionFilter

FLOW = """
id: flow
name: The Flow
description: Counts
inputs:
  n: {type: integer, default: 10, minimum: 1, maximum: 20, description: How far}
  colour: {type: string, enum: [red, blue]}
  maybe: {type: boolean, required: false}
outputs:
  total: {value: "${{ steps.second.outputs.total }}", description: The sum}
steps:
  - {id: first, type: script, config: {script: "true"}}
  - {id: second, type: command, needs: [first], config: {command: "true"}, description: Adds}
"""


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one workflow and one execution, for requests that must change nothing.

    Its tests share it, and that it was not changed is checked in the end.
    """
    service = open_service(tmp_path_factory.mktemp("quiet"))
    (service.settings.workflows_dir / "flow.yaml").write_text(FLOW, encoding="utf-8")
    execution = service.add_execution()
    yield service
    assert [e.id for e in service.store.find(ExecutionFilter())[0]] == [execution.id]
    assert service.store.get(execution.id) == execution
    assert service.client.get("/ssh_keys").json == {"ssh_keys": []}
    assert [p.name for p in service.settings.workflows_dir.iterdir()] == ["flow.yaml"]
    assert (service.settings.workflows_dir / "flow.yaml").read_text(encoding="utf-8") == FLOW
    service.close()


@pytest.fixture
def flow(write_workflow: Callable[..., None]) -> None:
    """A workflow of two steps, with a required input."""
    write_workflow(FLOW)


def assert_problem(response: TestResponse, status: int, code: str, *paths: str) -> dict[str, str]:
    """Check the whole form of an error; return the messages by path."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body = json.loads(response.data)
    title = HTTPStatus(status).phrase
    assert set(body) - {"fields"} == {"type", "title", "status", "detail", "code", "errors"}
    assert (body["status"], body["code"], body["title"]) == (status, code, title)
    assert body["type"] == f"urn:slipway:error:{code}"
    assert body["detail"]
    assert body["errors"]
    for error in body["errors"]:
        assert set(error) == {"id", "status", "title", "detail"}
        assert (error["id"], error["status"], error["title"]) == (code, status, title)
        assert error["detail"]
    assert "Traceback" not in response.text
    assert "/work/" not in response.text
    faults = {fault["path"]: fault["message"] for fault in body.get("fields", [])}
    if paths or faults:
        assert set(faults) == set(paths)
        assert len(body["errors"]) == len(body["fields"])
    return faults


@pytest.fixture(name="assert_problem")
def assert_problem_fixture() -> Callable[..., dict[str, str]]:
    return assert_problem

"""Rubbish, and almost rubbish, thrown at the running service by its own OpenAPI document."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from kit.client import Client
from kit.definitions import script, workflow
from kit.engine_v1 import EngineClient
from kit.fuzzing import Operation, each_operation
from kit.links import Links, Start, Values
from kit.patience import PATIENCE_SECONDS
from kit.service import Service
from kit.stress import scaled
from schemathesis import Case
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
)

from app.durations import parse_duration
from app.resources.root.examples import WORKFLOW as EXAMPLE

DOCUMENTS = {
    file.stem: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted((Path(__file__).parents[2] / "openapi").glob("*.json"))
}


def endless(document: dict[str, Any]) -> list[str]:
    """The addresses that speak until the client goes away, in whatever form is asked for."""
    return [
        path
        for path, item in document["paths"].items()
        if "101" in item.get("get", {}).get("responses", {})
        or list(item.get("get", {}).get("responses", {}).get("200", {}).get("content", {}))
        in (["text/event-stream"], ["application/x-ndjson", "text/event-stream"])
    ]


ENDLESS = [path for document in DOCUMENTS.values() for path in endless(document)]
EVERYTHING = {
    name: schemathesis.openapi.from_dict(document) for name, document in DOCUMENTS.items()
}
SCHEMAS = {name: schema.exclude(path=ENDLESS) for name, schema in EVERYTHING.items()}
ADDRESSED = SCHEMAS["root"].include(path_regex="{")
"""The operations of the root API on one thing."""

CHECKS = [
    not_a_server_error, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip

FEW = settings(
    max_examples=scaled(200, 3), derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
WALKS = settings(FEW, max_examples=scaled(20, 2))
"""At the end of each walk, where what it led to is as it was then."""

_LONGEST_WAIT_SECONDS = 0.05


def send(case: Case, url: str, session: requests.Session | None = None) -> requests.Response:
    """Send a case, and check that the answer is one of the documented ones.

    Args:
        case: The case, which may become another in what would make it wait.
        url: Where the service is.
        session: The connection that is used, if it is to be a certain one.

    Returns:
        The answer; without a body if that would not end.
    """
    hurry(case)
    ask = look if case.path in ENDLESS else call
    response = ask(case, url, session or requests.Session())
    if case.method.lower() != case.operation.method.lower():
        # What an address answers to methods that it does not have is not documented.
        assert response.status_code in {*range(200, 500), 501}, response.text
        return response
    if case.path.endswith("/drain") and response.status_code < 300:
        relieve(case, url)
    if case.path not in ENDLESS:
        case.validate_response(response, checks=checks_of(response))
    documented = case.operation.definition.raw["responses"]
    assert str(response.status_code) in documented, f"{response.status_code}: {response.text}"
    return response


def checks_of(response: requests.Response) -> list[Any]:
    """Return what can be checked of an answer."""
    if response.status_code == 501:
        # Where an operation says so, it is what an orchestrator cannot do, and no fault.
        return [check for check in CHECKS if check is not not_a_server_error]
    if response.status_code == 201 and not response.content:
        # Documents cannot say that there is a body only for who prefers one (RFC 7240).
        return [not_a_server_error, response_headers_conformance]
    return CHECKS


def call(case: Case, url: str, session: requests.Session) -> Any:
    """Send a case, and read the answer."""
    return case.call(base_url=url, session=session, timeout=PATIENCE_SECONDS)


def look(case: Case, url: str, session: requests.Session) -> requests.Response:
    """Send a case to an address that speaks until the client goes away, and go away at once."""
    request = case.as_transport_kwargs(base_url=url)
    with session.request(**request, stream=True, timeout=PATIENCE_SECONDS) as response:
        if not response.ok:
            assert response.content
    return response


def relieve(case: Case, url: str) -> None:
    """Give a slave work again that a case has drained, as whoever did so: there is no other."""
    (node,) = (case.path_parameters or {}).values()
    undone = requests.post(
        f"{url}/nodes/{quote(node, safe='')}/undrain",
        headers=case.as_transport_kwargs(base_url=url)["headers"],
        timeout=PATIENCE_SECONDS,
    )
    assert undone.status_code == 204, undone.text


def hurry(case: Case) -> None:
    """Keep a case from waiting, and from keys that take long to make."""
    headers = case.headers if case.headers is not None else {}
    if case.path.endswith("/logs"):
        headers["Accept"] = "application/json"
        case.headers = headers
    for name, path in (("timeout", "/logs"), ("wait", "/{execution_id}")):
        if case.path.endswith(path) and isinstance(case.query, dict | None):
            given = (case.query or {}).get(name, "1m")
            if is_long(given):
                case.query = {**(case.query or {}), name: "20ms"}
    if isinstance(case.body, dict) and str(case.body.get("algorithm")).startswith("rsa"):
        case.body = {**case.body, "algorithm": "ecdsa-p256"}


def is_long(given: Any) -> bool:
    with suppress(ValueError):
        return parse_duration(str(given)) > _LONGEST_WAIT_SECONDS
    return False


def fuzz(schema: Any) -> Any:
    """Make a test that throws requests at every operation of a document."""

    @each_operation(schema)
    def test(operation: Operation, service_url: str) -> None:
        operation.throw(partial(send, url=service_url), FEW)

    return test


for _name, _schema in SCHEMAS.items():
    globals()[f"test_no_request_to_{_name}_breaks_the_service"] = fuzz(_schema)


def send_to(known: dict[str, str], url: str) -> Callable[[Case], None]:
    """Return a function that sends cases to things that are there."""

    def aimed(case: Case) -> None:
        aim(case, known)
        send(case, url)

    return aimed


def aim(case: Case, known: dict[str, str]) -> None:
    """Put things that are there into the address of a case, and take away what keeps it out."""
    places = case.path_parameters or {}
    case.path_parameters = {name: known.get(name, value) for name, value in places.items()}
    if isinstance(case.query, dict):
        case.query = {name: value for name, value in case.query.items() if name != "ticket"}
    if case.headers is not None:
        case.headers.pop("If-Match", None)


WORKFLOW = workflow(
    "fuzzed",
    script("only", "echo hello; echo oops >&2; echo n=1 >> $SLIPWAY_OUTPUT"),
    inputs={
        "n": {"type": "integer", "default": 1},
        "text": {"type": "string", "required": False},
    },
)
ENDLESS_WORKFLOW = workflow("fuzzed-endless", script("only", "echo hello; sleep 600"))


@pytest.fixture(scope="module")
def ended(shared_service: Service) -> dict[str, str]:
    """An execution that has ended, by the names of places in addresses; its task and workflow."""
    client = shared_service.client()
    execution = client.run(WORKFLOW)
    assert client.wait(execution)["status"] == "SUCCESS"
    return {"execution_id": execution, "name": "only", "reference": "fuzzed"}


@pytest.fixture
def running(shared_service: Service) -> Iterator[dict[str, str]]:
    """An execution that runs, and a key, for one operation to do with them as it likes."""
    client = shared_service.client()
    clear(client)
    execution = client.run(ENDLESS_WORKFLOW)
    client.wait(execution, "RUNNING")
    key = client.send("POST", "/ssh_keys").json()["id"]
    yield {"execution_id": execution, "name": "only", "key_id": key}
    clear(client)


def clear(client: Client) -> None:
    """End what runs: among thousands of requests some launch what takes all places."""
    open_ = "/executions?state=RUNNING&state=PENDING&state=PAUSED&state=CANCELLING"
    while executions := client.get(open_)["executions"]:
        for execution in executions:
            client.cancel(execution["id"])
        for execution in executions:
            client.wait(execution["id"])


@each_operation(ADDRESSED.exclude(method="DELETE", path="/workflows/{reference}"))
def test_no_request_to_what_has_ended_breaks_the_service(
    operation: Operation, service_url: str, ended: dict[str, str]
) -> None:
    operation.throw(send_to(ended, service_url), FEW)


@pytest.fixture(scope="module")
def standing(shared_service: Service) -> dict[str, str]:
    """A workflow of Wattle's API, by the names of places in addresses."""
    body = {"name": "fuzzed standing", "workers": [{"name": "only", "command": "true"}]}
    response = shared_service.client().send("POST", "/api/workflows", json=body)
    assert response.status_code == 201, response.text
    return {"workflow_name": body["name"], "worker_name": "only"}


@each_operation(SCHEMAS["wattle"].include(path_regex="{").exclude(method="DELETE"))
def test_no_request_to_a_workflow_that_stands_breaks_the_service(
    operation: Operation, service_url: str, standing: dict[str, str]
) -> None:
    operation.throw(send_to(standing, service_url), FEW)


@pytest.fixture(scope="module")
def submitted(shared_service: Service) -> dict[str, str]:
    """A workflow of virtual users that has run, by the names of places in addresses."""
    client = EngineClient(shared_service.url)
    nothing = {"id": "only", "type": "script", "config": {"script": "1"}}
    execution, _ = client.run({"id": "fuzzed-load", "steps": [nothing]})
    return {"execution_id": execution, "workflow_id": "fuzzed-load", "slave_id": "local"}


@each_operation(SCHEMAS["engine_v1"].include(path_regex="{").exclude(path_regex="drain"))
def test_no_request_to_what_was_submitted_breaks_the_service(
    operation: Operation, service_url: str, submitted: dict[str, str]
) -> None:
    operation.throw(send_to(submitted, service_url), FEW)


@each_operation(ADDRESSED.exclude(path="/workflows/{reference}"))
def test_no_request_to_what_runs_breaks_the_service(
    operation: Operation, service_url: str, running: dict[str, str]
) -> None:
    operation.throw(send_to(running, service_url), FEW)


NUMBERS = itertools.count(1)
LOAD = {
    "id": "walked-load",
    "steps": [{"id": "only", "type": "script", "config": {"script": "1"}}],
    "options": {"vus": 1, "duration": "10m"},
}


def starts_of_root(client: Client) -> list[Start]:
    """Where walks through the root API begin."""
    ended = client.run(WORKFLOW)
    client.wait(ended)

    def uploadable() -> Values:
        client.send("DELETE", f"/workflows/{EXAMPLE}")
        return {}

    def launchable() -> Values:
        return {"reference": client.upload(ENDLESS_WORKFLOW)}

    return [
        Start("GET /workflows"),
        Start("POST /workflows", uploadable),
        Start("POST /workflows/{reference}", launchable),
        Start("POST /workflows/{reference}/run", launchable),
        Start("GET /executions"),
        Start("GET /executions/{execution_id}", lambda: {"execution_id": ended}),
        Start("POST /ssh_keys"),
        Start("GET /ssh_keys"),
        Start("GET /nodes"),
    ]


def starts_of_wattle(client: Client) -> list[Start]:
    """Where walks through Wattle's API begin."""

    def new() -> Values:
        return {"name": f"walked {next(NUMBERS)}"}

    def standing(command: str = "true") -> Values:
        workflow = {**new(), "workers": [{"name": "only", "command": command}]}
        made = client.send("POST", "/api/workflows", json=workflow)
        assert made.status_code == 201, made.text
        return {"workflow_name": workflow["name"]}

    def running() -> Values:
        there = standing("sleep 600")
        started = client.send("POST", f"/api/workflows/{there['workflow_name']}/start")
        assert started.status_code == 200, started.text
        return there

    return [
        Start("GET /api/workflows", standing),
        Start("POST /api/workflows", new),
        Start("GET /api/workers/{workflow_name}", standing),
        Start("GET /api/workers/{workflow_name}", running),
    ]


def starts_of_engine_v1(client: Client) -> list[Start]:
    """Where walks through the Workflow Engine's API begin."""

    def running() -> Values:
        return {"workflow": {**LOAD, "id": f"walked-load-{next(NUMBERS)}"}}

    return [
        Start("POST /api/v1/workflows"),
        Start("POST /api/v1/workflows", running),
        Start("GET /api/v1/executions"),
        Start("GET /api/v1/slaves"),
    ]


STARTS = {
    "root": starts_of_root,
    "wattle": starts_of_wattle,
    "engine_v1": starts_of_engine_v1,
}
CORE = {
    "root": {
        "GET /workflows", "POST /workflows", "GET /workflows/{reference}",
        "PUT /workflows/{reference}", "DELETE /workflows/{reference}",
        "GET /workflows/{reference}/definition", "GET /workflows/{reference}/versions",
        "POST /workflows/{reference}", "POST /workflows/{reference}/run",
        "GET /executions", "GET /executions/{execution_id}", "DELETE /executions/{execution_id}",
        "GET /executions/{execution_id}/logs", "GET /executions/{execution_id}/tasks",
        "POST /executions/{execution_id}/tickets", "POST /executions/{execution_id}/pause",
        "POST /executions/{execution_id}/resume", "POST /executions/{execution_id}/retry",
        "GET /executions/{execution_id}/tasks/{name}",
        "POST /executions/{execution_id}/tasks/{name}/start",
        "POST /executions/{execution_id}/tasks/{name}/stop",
        "POST /executions/{execution_id}/tasks/{name}/restart",
        "POST /ssh_keys", "GET /ssh_keys", "DELETE /ssh_keys/{key_id}",
        "GET /nodes", "GET /nodes/{node_id}", "POST /nodes/{node_id}/drain",
        "POST /nodes/{node_id}/undrain",
    },
    "wattle": {
        "GET /api/workflows", "POST /api/workflows", "GET /api/workflows/{workflow_name}",
        "POST /api/workflows/{workflow_name}/start", "GET /api/workflows/{workflow_name}/workers",
        "GET /api/workers/{workflow_name}", "GET /api/workers/{workflow_name}/{worker_name}",
        "GET /api/workers/{workflow_name}/{worker_name}/schema",
        "GET /api/workers/{workflow_name}/{worker_name}/logs",
        "GET /api/workers/{workflow_name}/{worker_name}/metrics",
        "POST /api/workers/{workflow_name}/{worker_name}/start",
        "POST /api/workers/{workflow_name}/{worker_name}/stop",
        "POST /api/workers/{workflow_name}/{worker_name}/restart",
        "DELETE /api/workers/{workflow_name}/{worker_name}",
    },
    "engine_v1": {
        "POST /api/v1/workflows", "GET /api/v1/workflows/{workflow_id}",
        "DELETE /api/v1/workflows/{workflow_id}", "GET /api/v1/executions",
        "GET /api/v1/executions/{execution_id}", "DELETE /api/v1/executions/{execution_id}",
        "GET /api/v1/executions/{execution_id}/metrics",
        "POST /api/v1/executions/{execution_id}/pause",
        "POST /api/v1/executions/{execution_id}/resume",
        "POST /api/v1/executions/{execution_id}/scale",
        "GET /api/v1/slaves", "GET /api/v1/slaves/{slave_id}",
        "POST /api/v1/slaves/{slave_id}/drain",
    },
}  # fmt: skip
"""What each API is about: all of this must do what it is asked for in the course of the walks."""


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_who_follows_the_links_of_a_document_reaches_what_it_is_about(
    shared_service: Service, name: str, submitted: dict[str, str]
) -> None:
    assert submitted  # so there is a slave
    client, links = shared_service.client(), Links(DOCUMENTS[name], SCHEMAS[name])
    session = requests.Session()
    seen: dict[str, list[int]] = defaultdict(list)
    thrown = set()
    for start in STARTS[name](client):
        for walk in links.walks(start, partial(send, url=shared_service.url, session=session)):
            for label, status in walk.statuses:
                seen[label].append(status)
            if walk.arrived and walk.label not in thrown and walk.statuses[-1][1] < 400:
                thrown.add(walk.label)
                aimed = send_to(dict(walk.values), shared_service.url)
                links.operation(walk.label).throw(aimed, WALKS)
            clear(client)
    succeeded = {label for label, them in seen.items() if any(200 <= s < 300 for s in them)}
    assert not CORE[name] - succeeded, {label: seen[label] for label in CORE[name] - succeeded}


def test_after_all_of_this_the_service_still_works(client: Client) -> None:
    assert client.get("/ready")["ready"]
    execution = client.run(WORKFLOW)
    assert client.wait(execution)["status"] == "SUCCESS"
    assert client.lines(execution, "only") == ["hello", "oops"]

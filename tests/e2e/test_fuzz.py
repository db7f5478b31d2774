"""Rubbish, and almost rubbish, thrown at the running service by its own OpenAPI document."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from kit.client import Client
from kit.definitions import script, workflow
from kit.engine_v1 import EngineClient
from kit.fuzzing import Operation, each_operation
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
WALKS = settings(FEW, max_examples=scaled(1000, 10), stateful_step_count=8, phases=[Phase.generate])
"""Each is some requests long, in the course of which one leads to the other."""

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
    if case.path not in ENDLESS:
        # Where an operation says so, 501 is what an orchestrator cannot do, and no fault.
        can = response.status_code != 501
        case.validate_response(response, checks=CHECKS if can else CHECKS[1:])
    documented = case.operation.definition.raw["responses"]
    assert str(response.status_code) in documented, f"{response.status_code}: {response.text}"
    return response


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


def follow_links(name: str, url: str) -> dict[str, set[int]]:
    """Go from answer to answer by the links of a document, and check each.

    Returns:
        The statuses of all answers, by operation.
    """
    seen: dict[str, set[int]] = defaultdict(set)
    faults: list[Exception] = []
    session = requests.Session()

    class Walk(SCHEMAS[name].as_state_machine()):
        """Sends requests as the other tests do."""

        def call(self, case: Case, **_: Any) -> Any:
            try:
                return send(case, url, session)
            except Exception as exc:
                faults.append(exc)
                raise

        def after_call(self, response: Any, case: Case) -> None:
            seen[case.operation.label].add(response.status_code)

        def validate_response(self, *_: Any, **__: Any) -> None:
            """It is checked where it is sent."""

    # What the service answers is not the same twice, which Hypothesis takes note of.
    with suppress(Flaky):
        Walk.run(settings=WALKS)
    assert not faults, faults[0]
    return seen


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_who_follows_the_links_of_a_document_reaches_what_it_is_about(
    shared_service: Service,
    name: str,
    ended: dict[str, str],
    standing: dict[str, str],
    submitted: dict[str, str],
) -> None:
    assert ended
    assert standing
    assert submitted
    seen = follow_links(name, shared_service.url)
    clear(shared_service.client())
    # Answers that only what is there can give, from operations on one thing.
    reached = [
        label for label, statuses in seen.items() if "{" in label and statuses - {400, 404, 422}
    ]
    assert reached, dict(seen)


def test_after_all_of_this_the_service_still_works(client: Client) -> None:
    assert client.get("/ready")["ready"]
    execution = client.run(WORKFLOW)
    assert client.wait(execution)["status"] == "SUCCESS"
    assert client.lines(execution, "only") == ["hello", "oops"]

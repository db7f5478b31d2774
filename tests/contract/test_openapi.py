"""The published OpenAPI document, and whether the application keeps what it promises."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from kit.in_process import end
from kit.thrift import make_tables
from werkzeug.test import TestResponse

from app.assembly import DIALECTS, import_dialect, read_settings
from app.cli.openapi import command
from app.domain import Execution, ExecutionStatus, Level, NewLogEntry, Observation
from app.factory import Web, create_web
from app.store.driving import DrivenExecutions
from app.store.launches import Intent, Launches

ROOT = Path(__file__).parents[2]
SPOKEN = {dialect.name: dialect for dialect in map(import_dialect, DIALECTS)}
DOCUMENTS = {
    name: json.loads((ROOT / "openapi" / f"{name}.json").read_text(encoding="utf-8"))
    for name, dialect in SPOKEN.items()
    if dialect.document
}
PUBLISHED = DOCUMENTS["root"]
PROBLEM = "application/problem+json"

UNDOCUMENTED = {
    "/", "/docs", "/docs/start.js", "/docs/session.js", "/docs/assets/{name}", "/api/v1/slave-ws",
} | {
    path for name in DOCUMENTS for path in (SPOKEN[name].document_path, SPOKEN[name].yaml_path)
}  # fmt: skip
"""What serves the documentation, and what slaves speak, is no part of an API; nor are pages."""


@dataclass(frozen=True)
class Operation:
    """An operation of a dialect, as its document has it."""

    dialect: str
    method: str
    path: str
    said: dict[str, Any]

    @property
    def document(self) -> dict[str, Any]:
        return DOCUMENTS[self.dialect]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


OPERATIONS = [
    Operation(name, method, path, operation)
    for name, document in DOCUMENTS.items()
    for path, item in document["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
]
CONDITIONS = "#/components/parameters/If"
EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def in_json_schema(value: Any) -> Any:
    """Return a schema of OpenAPI 3.0 as JSON Schema has it: the one says `nullable` (4.7.24.2)."""
    if isinstance(value, list):
        return [in_json_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {name: in_json_schema(item) for name, item in value.items() if name != "nullable"}
    if value.get("nullable") is True and "type" in made:
        made["type"] = [made["type"], "null"]
    return made


def is_lenient(parameter: dict[str, Any]) -> bool:
    """Return whether a parameter is a header field of which any value will do."""
    return parameter.get("$ref", "").startswith(CONDITIONS) or parameter.get("name") == "Prefer"


def component(name: str) -> Draft202012Validator:
    """Return the validator of a component."""
    components = in_json_schema(PUBLISHED["components"])
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": components})


def resolved(document: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    reference = response.get("$ref")
    if reference is None:
        return response
    return document["components"]["responses"][reference.rpartition("/")[2]]


# The document


def test_the_published_documents_are_those_that_the_application_makes():
    result = CliRunner().invoke(command, ["--check", str(ROOT / "openapi")])
    assert result.exit_code == 0, f"run: make docs\n{result.output}"
    assert json.loads(CliRunner().invoke(command).stdout) == PUBLISHED


def test_every_route_and_method_is_documented_and_nothing_else(make_web):
    served = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in make_web().app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    documented = {(operation.method, operation.path) for operation in OPERATIONS}
    undocumented = {path for _, path in served - documented}
    assert {path for path in undocumented if not path.startswith("/ui/")} == UNDOCUMENTED
    assert documented <= served


def test_what_a_dialect_documents_lies_below_its_prefix():
    for operation in OPERATIONS:
        assert SPOKEN[operation.dialect].owns(operation.path), str(operation)


@EACH
def test_every_documented_error_has_the_form_of_the_dialect(operation):
    form = SPOKEN[operation.dialect].errors
    reference = f"#/components/schemas/{form.schema.__name__.removesuffix('Schema')}"
    errors = {
        status: resolved(operation.document, response)
        for status, response in operation.said["responses"].items()
        if status == "default" or int(status) >= 400
    }
    if operation.path.endswith("/ready"):
        del errors["503"]  # tells what is missing, in the same form as 200
    assert "default" in errors
    for status, response in errors.items():
        assert list(response["content"]) == [form.content_type], status
        assert response["content"][form.content_type]["schema"] == {"$ref": reference}, status


@EACH
def test_what_follows_from_the_form_of_an_operation_is_documented(operation):
    path, said = operation.path, operation.said
    responses = said["responses"].keys()
    placeholders = set(re.findall(r"{(\w+)}", path))
    described = operation.document["paths"][path].get("parameters", [])
    assert {p["name"] for p in described if p["in"] == "path"} == placeholders
    assert said["summary"]
    if "security" in said:
        assert {"401", "503"} <= responses, "the store may not answer, either"
    if "{" in path and "put" not in operation.method:
        assert "404" in responses, "what the path names may not exist"


# What requests are like


def parameters_of(operation: Operation) -> list[dict[str, Any]]:
    """Return all parameters of an operation, those of its address first."""
    document = operation.document
    found = document["paths"][operation.path].get("parameters", []) + operation.said.get(
        "parameters", []
    )
    shared = document["components"].get("parameters", {})
    return [shared[each["$ref"].rpartition("/")[2]] if "$ref" in each else each for each in found]


def inner(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas of the single values of a parameter."""
    return schema.get("anyOf") or [schema.get("items", schema)]


@EACH
def test_each_text_of_a_request_has_a_form_and_an_example(operation):
    for parameter in parameters_of(operation):
        for schema in inner(parameter["schema"]):
            if schema.get("type") == "string" and not {"enum", "format"} & schema.keys():
                told = {"pattern", "maxLength"} & schema.keys() or is_lenient(parameter)
                assert told, f"{parameter['name']}: {schema}"
                assert "example" in schema, parameter["name"]


@EACH
def test_what_must_be_sent_has_an_example(operation):
    for parameter in parameters_of(operation):
        if parameter.get("required"):
            assert "example" in parameter["schema"], parameter["name"]
    body = operation.said.get("requestBody", {})
    for content in body.get("content", {}).values() if body.get("required") else ():
        assert "example" in content or required_of(operation.document, content) <= set(
            examples_of(operation.document, content)
        )


def of_component(document: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    name = content["schema"]["$ref"].rpartition("/")[2]
    return document["components"]["schemas"][name]


def required_of(document: dict[str, Any], content: dict[str, Any]) -> set[str]:
    return set(of_component(document, content).get("required", ()))


def examples_of(document: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    properties = of_component(document, content).get("properties", {})
    return {name: said["example"] for name, said in properties.items() if "example" in said}


def schemas_in(value: Any) -> Iterator[dict[str, Any]]:
    """Find whatever has an example or a pattern."""
    if isinstance(value, list):
        for item in value:
            yield from schemas_in(item)
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield value
        for name, item in value.items():
            if name != "example":
                yield from schemas_in(item)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_examples_are_what_their_schemas_say(name):
    found = [schema for schema in schemas_in(DOCUMENTS[name]) if "example" in schema]
    assert found
    components = in_json_schema(DOCUMENTS[name]["components"])
    for schema in found:
        whole = {**in_json_schema(schema), "components": components}
        Draft202012Validator(whole).validate(schema["example"])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_patterns_are_those_of_documents_and_not_of_python(name):
    patterns = {each["pattern"] for each in schemas_in(DOCUMENTS[name]) if "pattern" in each}
    assert patterns
    for pattern in patterns:
        assert pattern[0] == "^"
        assert pattern[-1] == "$", "it would fit a part of the text"
        for python_only in (r"\Z", r"\A", "(?P", "(?i", "(?s", "*+", "++"):
            assert python_only not in pattern


def test_the_examples_of_bodies_are_taken(make_web):
    web = make_web(load__enabled=True)
    client = web.app.test_client()
    for path, status in (("/workflows", 201), ("/ssh_keys", 201), ("/api/workflows", 201)):
        (operation,) = (op for op in OPERATIONS if str(op) == f"post {path}")
        content = operation.said["requestBody"]["content"]["application/json"]
        body = content.get("example") or examples_of(operation.document, content)
        response = client.post(path, json=body)
        assert response.status_code == status, response.text
    root = PUBLISHED["paths"]["/workflows/{reference}"]
    (place,) = root["parameters"]
    content = root["post"]["requestBody"]["content"]["application/json"]
    inputs = examples_of(PUBLISHED, content)
    launched = client.post(f"/workflows/{place['schema']['example']}", json=inputs)
    assert launched.status_code == 201, launched.text


READS = [op for op in OPERATIONS if op.method == "get" and "{" not in op.path]
ANSWERED = [
    op
    for op in READS
    for kinds in [op.said["responses"].get("200", {}).get("content", {}).keys()]
    if kinds and "text/event-stream" not in kinds
]
"""What is read at fixed addresses, and ends."""


@pytest.mark.parametrize("operation", ANSWERED, ids=str)
def test_what_has_a_tag_tells_of_it_and_nothing_else_does(make_web, operation):
    answer = make_web().app.test_client().get(operation.path)
    if answer.status_code == 404:  # no issuer of tokens is set up
        assert operation.path == "/.well-known/oauth-protected-resource"
        return
    said = operation.said["responses"]
    assert answer.status_code in (200, 503), answer.text
    told = {"304", "412"} <= said.keys()
    if answer.status_code == 200:
        assert ("ETag" in answer.headers) is told
        form = said["200"].get("headers", {}).get("ETag", {}).get("schema", {"pattern": "^$"})
        assert re.search(form["pattern"], answer.headers.get("ETag", ""))


def test_what_does_not_end_has_no_tag():
    others = [op for op in READS if op not in ANSWERED]
    assert others
    for operation in others:
        assert not {"304", "412"} & operation.said["responses"].keys(), str(operation)


def test_a_launch_says_what_a_client_may_prefer(make_web):
    web = make_web()
    client = web.app.test_client()
    client.put("/workflows/flow", json=DEFINITION)
    launching = [
        op
        for op in OPERATIONS
        if any(parameter.get("name") == "Prefer" for parameter in parameters_of(op))
    ]
    assert len(launching) == 4
    for op in launching:
        assert "application/json" in op.said["responses"]["201"]["content"], str(op)
    (prefer,) = (p for p in parameters_of(launching[0]) if p.get("name") == "Prefer")
    headers = {"Prefer": prefer["schema"]["example"]}
    response = client.post("/workflows/flow", headers=headers)
    component("Execution").validate(response.json)
    assert client.post("/workflows/flow").data == b""


def test_whoever_reads_a_body_says_that_it_may_come_too_slowly():
    reading = [op for op in OPERATIONS if "requestBody" in op.said]
    assert reading
    assert [str(op) for op in reading if "408" not in op.said["responses"]] == []


@pytest.mark.parametrize("operation", [op for op in OPERATIONS if op.dialect == "root"], ids=str)
def test_what_may_go_wrong_at_the_root_api_is_documented(operation):
    path, said = operation.path, operation.said
    responses = said["responses"].keys()
    asks_nobody = {"{key_id}", "{operation_id}", "{orchestrator}", "{session_id}", "{username}"}
    if "{" in path and not asks_nobody & set(path.split("/")):
        assert {"502", "503", "504"} <= responses, "an orchestrator may have to be asked"
    if any(not is_lenient(parameter) for parameter in said.get("parameters", ())):
        assert "422" in responses, "a parameter may be rubbish"
    if said.get("requestBody"):
        assert {"400", "413", "415", "422"} <= responses


def test_who_is_asked_for_a_password_is_documented():
    open_to_all = {op.path for op in OPERATIONS if "security" not in op.said}
    assert open_to_all == {
        "/health", "/ready", "/version", "/metrics", "/.well-known/jwks.json", "/auth/session",
        "/auth/oidc/login", "/auth/oidc/callback",
        "/.well-known/oauth-protected-resource", "/api/v1/health", "/api/v1/ready",
    }  # fmt: skip
    assert PUBLISHED["components"]["securitySchemes"]["basic"]["scheme"] == "basic"


# The application


@pytest.fixture
def make_web(tmp_path: Path) -> Iterator[Callable[..., Web]]:
    """Make web processes; ``fake`` puts one of ``fakes.orchestrators`` behind it."""
    made: list[Web] = []

    def make(fake: str | None = None, **more: Any) -> Web:
        overrides = {"data_dir": str(tmp_path / str(len(made)))}
        overrides |= {name.replace("__", "."): value for name, value in more.items()}
        if fake is not None:
            type_ = f"fakes.orchestrators:{fake}Orchestrator"
            overrides["orchestrators"] = [{"name": "remote", "type": type_}]
            overrides["load.enabled"] = False
        settings = read_settings(None, overrides, {})
        make_tables(settings.database_url)
        web = create_web(settings)
        settings.workflows_dir.mkdir(parents=True)
        made.append(web)
        web.changes.start()
        return web

    yield make
    for web in made:
        end(web)


def add_execution(web: Web, *entries: NewLogEntry, ended: bool = True) -> Execution:
    """Write down an execution that has said something."""
    launches, store = Launches(web.database), DrivenExecutions(web.database)
    orchestrator = web.app.extensions["slipway"].settings.orchestrators[0].name
    intent = Intent(
        execution_id="e1", orchestrator=orchestrator, workflow_id="flow", workflow_name="Flow",
        owner="anonymous", inputs={}, steps=["only"],
    )  # fmt: skip
    execution, _ = launches.create(intent)
    launches.launched(execution, {"job": 1})
    (held,) = store.claim("test", "node", 3600.0, [], 1)
    status = ExecutionStatus.SUCCESS if ended else ExecutionStatus.RUNNING
    return store.record(held, "test", Observation(status, 1, entries=entries, log_complete=ended))


TEXTS = [
    "plain", "", " ", "ünï cödé 漢字 🚢 \u202e", '"quoted" \\ and </script>',
    "tab\tand\x1b[31mcolour",
    "\ufffd", "x" * 65_536, "\u2028",
]  # fmt: skip


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "running"])
@pytest.mark.parametrize(
    "query",
    ["levels=15", "levels=1", "", "size=0", "from=3&size=2&levels=15", "from=99999&levels=8",
     "after=2&levels=15"],
)  # fmt: skip
def test_pages_of_a_log_are_as_documented(make_web, query, ended):
    web = make_web()
    levels = [level for level in Level for _ in TEXTS]
    entries = (
        NewLogEntry(level, 1_666_269_149_774 + i, TEXTS[i % len(TEXTS)], "" if i % 2 else "only")
        for i, level in enumerate(levels)
    )
    add_execution(web, *entries, ended=ended)
    response = web.app.test_client().get(f"/executions/e1/logs?timeout=0&{query}")
    assert response.status_code == 200
    assert response.content_type == "application/json"
    page = json.loads(response.data)
    component("LogPage").validate(page)
    for entry in page["logs"]:
        assert entry["content"] in TEXTS
        assert datetime.fromisoformat(entry["timestamp"]).tzinfo == UTC
    last = page["from"] + len(page["logs"]) >= page["total_results"]
    assert page["complete"] is (ended and last)


@pytest.mark.parametrize("state", [ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS], ids=str)
@pytest.mark.parametrize("name", ["id", "awf_name"])
def test_executions_and_pages_are_as_documented_by_either_name(make_web, state, name):
    web = make_web()
    ended = state is ExecutionStatus.SUCCESS
    execution = add_execution(web, NewLogEntry(Level.INFO, 0, "line"), ended=ended)
    path = f"/executions/{getattr(execution, name)}"
    answer = web.app.test_client().get(path).json
    (said,) = (op.said for op in OPERATIONS if str(op) == "get /executions/{execution_id}")
    forms = said["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"]
    names = [form["$ref"].rpartition("/")[2] for form in forms]
    assert names == ["Execution", "ExecutionStatus"]
    fitting = [each for each in names if component(each).is_valid(answer)]
    assert fitting == [{"id": "Execution", "awf_name": "ExecutionStatus"}[name]]
    component("LogPage").validate(web.app.test_client().get(f"{path}/logs?timeout=0").json)


def test_what_run_answers_is_as_documented(make_web):
    web = make_web()
    web.app.test_client().put("/workflows/flow", json=DEFINITION)
    response = web.app.test_client().post("/workflows/flow/run")
    assert response.status_code == 201
    component("RunResponse").validate(response.json)
    (listed,) = web.app.test_client().get("/workflows").json["workflows"]
    component("WorkflowInfo").validate(listed)


@pytest.mark.parametrize("length", [0, 1, 499, 500, 501, 1000, 1001, 2500])
def test_pages_of_every_length_are_one_document(make_web, length):
    web = make_web()
    add_execution(web, *(NewLogEntry(Level.INFO, i, f"line {i}") for i in range(length)))
    page = json.loads(web.app.test_client().get("/executions/e1/logs?timeout=0").data)
    component("LogPage").validate(page)
    assert [entry["content"] for entry in page["logs"]] == [f"line {i}" for i in range(length)]


DEFINITION = {
    "id": "flow",
    "steps": [{"id": "a", "type": "command", "config": {"command": "true"}}],
}

ERRORS: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "malformed body": (400, "POST", "/ssh_keys", {"data": "{", "content_type": "application/json"}),
    "no such execution": (404, "GET", "/executions/nothing", {}),
    "no such workflow": (404, "POST", "/workflows/nothing", {}),
    "no such page": (404, "GET", "/nothing", {}),
    "no such method": (405, "PATCH", "/workflows", {}),
    "not to be had in this form": (
        406, "GET", "/executions/e1/logs", {"headers": {"Accept": "image/png"}}
    ),
    "ended already": (409, "DELETE", "/executions/e1", {}),
    "too large": (413, "POST", "/workflows", {"data": b"x" * 2_000_000,
                                              "content_type": "application/yaml"}),
    "wrong type": (415, "POST", "/ssh_keys", {"data": "a: b", "content_type": "text/yaml"}),
    "beyond the end": (
        416, "GET", "/executions/e1/logs",
        {"headers": {"Accept": "text/plain", "Range": "bytes=99999-"}},
    ),
    "rubbish in a parameter": (
        422, "GET", "/executions/e1/logs?size=-2&levels=256&timeout=soon", {}
    ),
    "rubbish in a body": (422, "POST", "/ssh_keys", {"json": {"algorithm": "rot13", "meta": 1}}),
    "faulty definition": (422, "POST", "/workflows", {"json": {"id": "", "steps": [{}]}}),
}  # fmt: skip


def assert_problem(response: TestResponse, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.content_type == PROBLEM
    body = json.loads(response.data)
    component("Problem").validate(body)
    assert (body["status"], body["title"]) == (status, HTTPStatus(status).phrase)
    assert body["errors"]
    for error in body["errors"]:
        assert error.keys() == {"id", "status", "title", "detail"}
        assert (error["id"], error["status"]) == (body["code"], status)
    return body


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_is_a_problem_document_that_the_waas_client_can_read(make_web, kind):
    status, method, path, more = ERRORS[kind]
    web = make_web()
    add_execution(web, NewLogEntry(Level.INFO, 0, "hello"))
    response = web.app.test_client().open(path, method=method, **more)
    body = assert_problem(response, status)
    if status == 422:
        assert len(body["fields"]) == len(body["errors"]) > 1
    if status == 405:
        assert {"GET", "POST"} <= set(response.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    ("status", "fake", "method", "path"),
    [
        (500, "Crashing", "GET", "/workflows/remote"),
        (501, "Endless", "POST", "/executions/e1/pause"),
        (501, "Endless", "POST", "/workflows"),
        (502, "Refusing", "POST", "/workflows/remote"),
        (503, "UnreachableAtLaunch", "POST", "/workflows/remote"),
    ],
)
def test_a_failure_behind_the_gateway_is_a_problem_document(make_web, status, fake, method, path):
    web = make_web(fake, load__enabled=False)
    add_execution(web, ended=False)
    more = {"json": DEFINITION} if path == "/workflows" else {}
    response = web.app.test_client().open(path, method=method, **more)
    body = assert_problem(response, status)
    assert "secret" not in json.dumps(body)
    assert ("Retry-After" in response.headers) is (status == 503)


def signed_in(client: FlaskClient, user: str, method: str, path: str, **more: Any) -> TestResponse:
    token = base64.b64encode(f"{user}:pass".encode()).decode()
    return client.open(path, method=method, headers={"Authorization": f"Basic {token}"}, **more)


def test_a_refusal_is_a_problem_document(make_web):
    users = [{"username": "ada", "password": "pass", "roles": ["user"]}]
    client = make_web(api__auth={"type": "basic", "users": users}).app.test_client()
    response = client.get("/executions")
    assert_problem(response, 401)
    assert response.headers["WWW-Authenticate"].startswith("Basic ")
    assert_problem(signed_in(client, "eve", "GET", "/executions"), 401)
    assert_problem(signed_in(client, "ada", "POST", "/workflows", json=DEFINITION), 403)


def test_one_stream_too_many_is_a_problem_document(make_web):
    web = make_web(streams__max_total=1)
    client = web.app.test_client()
    first = client.get("/executions/events")
    next(iter(first.response))
    response = client.get("/executions/events")
    assert_problem(response, 429)
    assert int(response.headers["Retry-After"]) >= 1
    first.close()

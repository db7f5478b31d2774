"""The OpenAPI document: published as it is, and kept by every answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner
from jsonschema import Draft202012Validator, FormatChecker

from app.cli.openapi import command
from app.domain import ExecutionStatus, Level, NewLogEntry, Observation, Task, TaskStatus
from app.factory import create_web, read_settings
from app.store import migrate
from app.store.executions import Executions, Intent, now

PUBLISHED = Path(__file__).parents[2] / "openapi" / "root.json"
PROBLEM = "application/problem+json"
FLOW = {
    "id": "flow",
    "inputs": {
        "n": {"type": "integer", "default": 1, "description": "How far"},
        "colour": {"enum": ["red", "blue"], "required": False},
    },
    "outputs": {"o": {"value": "${{ inputs.n }}", "description": "The same"}},
    "steps": [{"id": "first", "type": "script", "config": {"script": "true"}}],
}
# As OpenAPI counts, these are no endpoints of the API.
UNDOCUMENTED = {"/openapi.json", "/docs", "/docs/start.js", "/docs/assets/{name}"}


class Api:
    """The application without a server, and its own document.

    Args:
        folder: For its data.
        overrides: Settings by dotted path.
    """

    def __init__(self, folder: Path, **overrides: Any) -> None:
        dotted = {name.replace("__", "."): value for name, value in overrides.items()}
        settings = read_settings(None, {"data_dir": str(folder), **dotted}, {})
        self.web = create_web(settings)
        migrate.upgrade(self.web.database)
        settings.workflows_dir.mkdir(parents=True)
        (settings.workflows_dir / "flow.json").write_text(json.dumps(FLOW))
        self.client = self.web.app.test_client()
        self.document = self.client.get("/openapi.json").json
        self.seen: set[tuple[str, str, str]] = set()

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Call an endpoint, and check the answer against what the document says of it."""
        response = self.client.open(path, method=method, **options)
        template, operation = self._operation(method, path.partition("?")[0])
        responses = operation["responses"]
        status = str(response.status_code)
        documented = self._resolve(responses.get(status) or responses["default"])
        self.seen.add((method, template, status))
        content = documented.get("content", {})
        if not response.data:
            assert not content or method == "HEAD", f"{method} {path}: {status} without its body"
            return response
        assert response.mimetype in content, f"{method} {path}: {status} {response.mimetype}"
        if response.mimetype.endswith("json"):
            self.validate(content[response.mimetype]["schema"], response.json)
        return response

    def validate(self, schema: dict[str, Any], value: Any) -> None:
        whole = {"components": self.document["components"], **schema}
        Draft202012Validator(_json_schema(whole), format_checker=FormatChecker()).validate(value)

    def _operation(self, method: str, path: str) -> tuple[str, dict[str, Any]]:
        for template, operations in sorted(self.document["paths"].items()):
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
            if re.fullmatch(pattern, path) and method.lower() in operations:
                return template, operations[method.lower()]
        raise AssertionError(f"{method} {path} is not documented")

    def _resolve(self, part: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in part:
            found: Any = self.document
            for key in part["$ref"].removeprefix("#/").split("/"):
                found = found[key]
            part = found
        return part


def _json_schema(schema: Any) -> Any:
    """Turn OpenAPI 3.0's way to allow null into JSON Schema's."""
    if isinstance(schema, list):
        return [_json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _json_schema(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    made = Api(tmp_path / "data")
    yield made
    made.web.database.dispose()


@pytest.fixture
def execution(api: Api) -> str:
    """Id of an execution with all that can be told of one."""
    store, at = Executions(api.web.database), now()
    intent = Intent("e1", "local", "flow", "Flow", "anonymous", {"n": 1}, ["first", "second"])
    made, _ = store.create(intent)
    store.launched(made, {"definition": "x"})
    store.claim("c", "n", 60.0, [], 1)
    entries = tuple(
        NewLogEntry(level, 1_666_269_149_774 + i, f"line {i} \u00e4\U0001f600", "first")
        for i, level in enumerate(Level)
    )
    task = Task("first", TaskStatus.FAILED, at, at, 1, 1, "node", "exit code 1")
    seen = Observation(
        ExecutionStatus.RUNNING, cursor=1, tasks=(task,), entries=entries, outputs={"o": [1, None]},
        error="so far", progress=0.5, started_at=at,
    )  # fmt: skip
    store.record(made, "c", seen)
    return made.id


def test_the_published_document_is_what_the_command_prints():
    result = CliRunner().invoke(command)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["openapi"].startswith("3.0")
    assert PUBLISHED.read_text(encoding="utf-8") == result.stdout, (
        "openapi/root.json is stale: slipway openapi > openapi/root.json"
    )


def test_every_endpoint_is_documented_and_described(api):
    paths = api.document["paths"]
    rules = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", r.rule) for r in api.web.app.url_map.iter_rules()}
    assert rules - set(paths) == UNDOCUMENTED
    for path, operations in paths.items():
        for method, operation in operations.items():
            if method != "parameters":
                assert operation["summary"], f"{method} {path}"


def test_every_reference_leads_somewhere(api):
    text = json.dumps(api.document)
    references = set(re.findall(r'"\$ref": "(#[^"]+)"', text))
    assert references
    for reference in references:
        assert api._resolve({"$ref": reference})


def test_every_error_of_every_endpoint_is_documented_as_a_problem(api):
    for path, operations in api.document["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            responses = operation["responses"]
            assert "default" in responses
            for status, response in responses.items():
                if status != "default" and (status < "400" or path == "/ready"):
                    continue
                content = api._resolve(response)["content"]
                assert content == {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_what_needs_credentials_says_so(api):
    open_paths = {"/health", "/ready", "/version", "/metrics"}
    for path, operations in api.document["paths"].items():
        for method, operation in operations.items():
            if method != "parameters":
                assert bool(operation.get("security")) is (path not in open_paths), path


def test_answers_are_as_documented(api, execution):
    api.call("GET", "/workflows")
    api.call("GET", "/workflows?page=1&page_size=1")
    api.call("GET", "/workflows/flow")
    api.call("POST", "/workflows", json={**FLOW, "id": "new"})
    api.call("PUT", "/workflows/new", json={**FLOW, "id": "new"})
    api.call("PUT", "/workflows/newer", json={**FLOW, "id": "newer"})
    api.call("DELETE", "/workflows/newer")
    location = api.call("POST", "/workflows/flow").headers["Location"]
    api.call("GET", "/executions")
    api.call("GET", f"/executions/{execution}")
    api.call("GET", location)
    api.call("GET", f"/executions/{execution}/tasks")
    api.call("GET", f"/executions/{execution}/tasks/first")
    api.call("POST", f"/executions/{execution}/pause")
    api.call("POST", f"/executions/{execution}/resume")
    api.call("DELETE", f"/executions/{execution}")
    api.call("POST", "/ssh_keys", json={"metadata": {"a": [1, None]}})
    key = api.call("GET", "/ssh_keys").json["ssh_keys"][0]
    api.call("DELETE", f"/ssh_keys/{key['id']}")
    for path in ("/health", "/ready", "/version", "/metrics"):
        api.call("GET", path)
    assert {status for _, _, status in api.seen} == {"200", "201", "202", "204", "503"}


@pytest.mark.parametrize(
    "query", ["", "levels=15", "levels=1&size=1", "size=0", "from=99&timeout=0", "from=2&size=1"]
)
def test_log_pages_which_pass_by_the_schema_keep_it(api, execution, query):
    api.call("GET", f"/executions/{execution}/logs?{query}")
    api.call("GET", f"/executions/{execution}/logs?{query}", headers={"Accept": "application/json"})


def test_the_schema_of_log_pages_would_notice(api, execution):
    """The check above proves nothing unless the schema is strict."""
    page = api.call("GET", f"/executions/{execution}/logs").json
    schema = {"$ref": "#/components/schemas/LogPage"}
    api.validate(schema, page)
    entry = page["logs"][0]
    broken = [
        {**page, "logs": [{**entry, "level": "LOUD"}]},
        {**page, "logs": [{k: v for k, v in entry.items() if k != "content"}]},
        {**page, "logs": [{**entry, "more": 1}]},
        {**page, "total_results": "4"},
        {k: v for k, v in page.items() if k != "from"},
    ]
    for value in broken:
        assert not Draft202012Validator(
            _json_schema({"components": api.document["components"], **schema})
        ).is_valid(value)


def test_errors_are_as_documented(api, execution, tmp_path):
    json_type = {"content_type": "application/json"}
    api.call("POST", "/workflows/flow", data=b"{", **json_type)  # 400
    api.call("GET", "/workflows/none")  # 404
    api.call("GET", "/executions/none/logs")
    api.call("POST", "/workflows", json=FLOW)  # 409
    api.call("POST", f"/executions/{execution}/resume")
    api.call("POST", "/ssh_keys", data=b"x" * (1024 * 1024 + 1), **json_type)  # 413
    api.call("POST", "/ssh_keys", data=b"x", content_type="text/plain")  # 415
    api.call("GET", f"/executions/{execution}/logs?from=-1&size=a&levels=99&timeout=x&y=1")  # 422
    api.call("GET", f"/executions/{execution}?wait=x")
    api.call("GET", "/executions?status=x&page=0")
    api.call("POST", "/workflows/flow", json={"inputs": {"n": "x", "z": 1}})
    api.call("POST", "/workflows", json={"id": "-", "steps": []})
    seen = {status for _, _, status in api.seen}
    for fake, path in [
        ("Crashing", "/workflows"),  # 500
        ("Refusing", "/workflows/remote"),  # 502
        ("Unreachable", "/workflows/remote"),  # 503
        ("Silent", "/workflows/remote"),  # 504
    ]:
        type_ = f"fakes.orchestrators:{fake}Orchestrator"
        other = Api(tmp_path / fake, orchestrators=[{"name": "remote", "type": type_}])
        other.call("GET" if fake == "Crashing" else "POST", path)
        other.call("POST", "/workflows", json=FLOW)  # 501
        seen |= {status for _, _, status in other.seen}
        other.web.database.dispose()
    assert seen == {
        "400", "404", "409", "413", "415", "422", "500", "501", "502", "503", "504",
    }  # fmt: skip


def test_refusals_are_as_documented(tmp_path):
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x")
    users = [{"username": "ada", "password_hash": hashed}]
    api = Api(tmp_path / "data", api__auth={"type": "basic", "users": users})
    api.call("GET", "/workflows")
    api.call("POST", "/workflows", json=FLOW, auth=("ada", "x"))
    assert {status for _, _, status in api.seen} == {"401", "403"}
    api.web.database.dispose()

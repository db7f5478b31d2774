"""Wattle's API, as its document prints the requests and the answers."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from service_kit import PASSWORDS, Service, basic, open_service, users
from werkzeug.test import TestResponse

from app.domain import Identity, Role
from app.errors import StoreUnavailable, UpstreamRefused, UpstreamTimeout
from app.store.conductors import Conductors, Node, OwnProcess

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

EXAMPLE: dict[str, Any] = {
    "name": "example-workflow",
    "working_dir": "/tmp/example-workflow",
    "workers": [
        {
            "name": "data_fetcher",
            "workflow_name": "example-workflow",
            "command": "python fetch_data.py",
            "args": ["--source", "database"],
            "working_dir": "/tmp/example-workflow",
            "env_vars": {"DATABASE_URL": "sqlite:///data.db"},
            "inputs": None,
            "outputs": {"raw_data": "/tmp/raw_data.json", "metadata": "/tmp/metadata.json"},
        },
        {
            "name": "data_processor",
            "workflow_name": "example-workflow",
            "command": "python process_data.py",
            "args": ["--input", "/tmp/raw_data.json"],
            "working_dir": "/tmp/example-workflow",
            "env_vars": {"PROCESSING_MODE": "batch"},
            "inputs": {"input_data": "data_fetcher/raw_data", "config": "data_fetcher/metadata"},
            "outputs": {"processed_data": "/tmp/processed_data.json"},
        },
    ],
}
"""The body of the document's own request to create a workflow."""

DEV = Identity("dev", frozenset({Role.DEVELOPER}))

WORKFLOW = "/api/workflows/example-workflow"
WORKERS = "/api/workers/example-workflow"
WORKER = f"{WORKERS}/data_fetcher"


def driven(service: Service) -> Service:
    """Let a conductor have given a sign of life."""
    Conductors(service.web.database).register("conductor", Node("host/mark", "boot"), OwnProcess(1))
    return service


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    service = driven(open_service(tmp_path_factory.mktemp("wattle"), conductor__lease="1h"))
    assert service.client.post("/api/workflows", json=EXAMPLE).status_code == 201
    yield service
    service.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("guarded")
    service = driven(open_service(folder, api__auth=users(), conductor__lease="1h"))
    yield service
    service.close()


def user(name: str) -> dict[str, str]:
    return basic(name, PASSWORDS[name])


def data(response: TestResponse, status: int = 200) -> Any:
    """Return what a whole envelope of success holds."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/json"
    body = json.loads(response.data)
    assert body.keys() == {"success", "data", "message", "timestamp"}
    assert body["success"] is True
    assert body["message"] == "操作成功"
    assert MOMENT.fullmatch(body["timestamp"])
    return body["data"]


def assert_refused(response: TestResponse, status: int, code: str, message: str = "") -> str:
    """Check a whole envelope of failure, and return its message."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/json"
    body = json.loads(response.data)
    assert body.keys() == {"success", "error", "timestamp"}
    assert body["success"] is False
    assert body["error"].keys() == {"code", "message"}
    assert body["error"]["code"] == code
    assert MOMENT.fullmatch(body["timestamp"])
    if message:
        assert body["error"]["message"] == message
    assert "Traceback" not in response.text
    return str(body["error"]["message"])


def make(name: str, *workers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "workers": list(workers), **more}


def worker(name: str = "w", command: str = "true", **more: Any) -> dict[str, Any]:
    return {"name": name, "command": command, **more}


# The requests of the document, as printed


def test_the_list_has_seven_fields_of_each_workflow(shared: Service) -> None:
    found = next(
        w for w in data(shared.client.get("/api/workflows")) if w["name"] == EXAMPLE["name"]
    )
    created = found.pop("created_at")
    assert MOMENT.fullmatch(created)
    assert found == {
        "name": "example-workflow", "working_dir": "/tmp/example-workflow", "status": "created",
        "started_at": None, "completed_at": None, "deleted_at": None,
    }  # fmt: skip


def test_a_workflow_is_got_by_its_name(shared: Service) -> None:
    listed = data(shared.client.get("/api/workflows"))
    assert data(shared.client.get(WORKFLOW)) in listed


def test_creating_answers_a_sentence(shared: Service) -> None:
    body = {**make("made-twice", worker())}
    first = shared.client.post("/api/workflows", json=body)
    assert data(first, 201) == "Workflow 'made-twice' created successfully"
    again = shared.client.post("/api/workflows", json=body)
    assert_refused(again, 409, "WORKFLOW_ALREADY_EXISTS", "工作流 'made-twice' 已存在")


def test_the_workers_of_a_workflow_have_fourteen_fields_with_json_in_texts(shared: Service) -> None:
    first, second = data(shared.client.get(f"{WORKFLOW}/workers"))
    assert MOMENT.fullmatch(first.pop("created_at"))
    assert first == {
        "workflow_name": "example-workflow",
        "name": "data_fetcher",
        "command": "python fetch_data.py",
        "args": '["--source", "database"]',
        "working_dir": "/tmp/example-workflow",
        "env_vars": '{"DATABASE_URL": "sqlite:///data.db"}',
        "inputs": None,
        "outputs": '{"raw_data": "/tmp/raw_data.json", "metadata": "/tmp/metadata.json"}',
        "status": "created",
        "error_message": None,
        "started_at": None,
        "completed_at": None,
        "deleted_at": None,
    }
    assert second["inputs"] == (
        '{"input_data": "data_fetcher/raw_data", "config": "data_fetcher/metadata"}'
    )


def test_the_list_of_workers_is_short(shared: Service) -> None:
    first, _ = data(shared.client.get(WORKERS))
    assert MOMENT.fullmatch(first.pop("created_at"))
    assert first == {
        "name": "data_fetcher", "workflow_name": "example-workflow", "status": "created",
        "command": "python fetch_data.py", "started_at": None, "completed_at": None,
    }  # fmt: skip


def test_a_worker_by_itself_has_values(shared: Service) -> None:
    assert data(shared.client.get(WORKER)) == {
        "name": "data_fetcher",
        "workflow_name": "example-workflow",
        "command": "python fetch_data.py",
        "args": ["--source", "database"],
        "working_dir": "/tmp/example-workflow",
        "env_vars": {"DATABASE_URL": "sqlite:///data.db"},
        "status": "created",
    }


def test_the_schema_of_a_worker(shared: Service) -> None:
    text = {"type": "string"}
    assert data(shared.client.get(f"{WORKER}/schema")) == {
        "schema": {
            "type": "object",
            "properties": {
                "name": text, "workflow_name": text, "command": text,
                "args": {"type": "array", "items": text},
                "working_dir": text,
                "env_vars": {"type": "object", "additionalProperties": text},
            },
        }
    }  # fmt: skip


def test_a_start_answers_at_once_and_the_execution_is_the_engines(shared: Service) -> None:
    body = make("begun", worker("größe & co", "sleep 5"), worker())
    data(shared.client.post("/api/workflows", json=body), 201)
    path = "/api/workflows/begun/start"
    assert data(shared.client.post(path)) == "Workflow 'begun' started successfully"
    assert_refused(
        shared.client.post(path), 409, "WORKFLOW_NOT_RUNNABLE", "工作流 'begun' 正在运行，无法启动"
    )
    (execution,) = shared.client.get("/executions?workflow=begun").json["executions"]
    tasks = shared.client.get(f"/executions/{execution['id']}/tasks").json["tasks"]
    assert [(task["name"], task["title"]) for task in tasks][1] == ("w", None)
    assert tasks[0]["title"] == "größe & co"
    assert re.fullmatch(r"gro[a-z-]*e-co-[0-9a-f]{12}", tasks[0]["name"])


def test_a_worker_is_deleted_once(shared: Service) -> None:
    data(shared.client.post("/api/workflows", json=make("less", worker("a"), worker("b"))), 201)
    path = "/api/workers/less/a"
    assert data(shared.client.delete(path)) == "Worker 'less/a' deleted successfully"
    assert_refused(shared.client.delete(path), 404, "WORKER_NOT_FOUND", "工作者 'less/a' 不存在")
    assert_refused(shared.client.get(path), 404, "WORKER_NOT_FOUND")
    assert [w["name"] for w in data(shared.client.get("/api/workers/less"))] == ["b"]
    assert [w["name"] for w in data(shared.client.get("/api/workflows/less/workers"))] == ["b"]
    steps = shared.client.get("/workflows/less").json["steps"]
    assert [step["name"] for step in steps] == ["b"]


@pytest.mark.parametrize("form", ["[]", "{}", "null", "missing"])
def test_what_is_empty_and_what_is_not_given_stay_apart(shared: Service, form: str) -> None:
    given: dict[str, Any] = {
        "[]": {"args": []},
        "{}": {"env_vars": {}, "inputs": {}, "outputs": {}},
        "null": dict.fromkeys(["args", "env_vars", "inputs", "outputs", "working_dir"]),
        "missing": {},
    }[form]
    name = f"empty {ord(form[0])}"
    data(shared.client.post("/api/workflows", json=make(name, worker(**given))), 201)
    (entity,) = data(shared.client.get(f"/api/workflows/{name}/workers"))
    detail = data(shared.client.get(f"/api/workers/{name}/w"))
    assert entity["args"] == ("[]" if form == "[]" else None)
    assert detail["args"] == ([] if form == "[]" else None)
    for field in ("env_vars", "inputs", "outputs"):
        assert entity[field] == ("{}" if form == "{}" else None)
    assert detail["env_vars"] == ({} if form == "{}" else None)


def test_what_a_reader_has_is_what_a_removal_depends_on(shared: Any) -> None:
    data(shared.client.post("/api/workflows", json=make("tagged", worker("a"), worker("b"))), 201)
    path = "/api/workers/tagged/a"
    headers = {"If-None-Match": shared.client.get(path).headers["ETag"]}
    assert_refused(shared.client.delete(path, headers=headers), 412, "PRECONDITION_FAILED")
    headers = {"If-None-Match": 'W/"other"'}
    data(shared.client.delete(path, headers=headers))


def test_what_is_not_ascii_stays_readable(shared: Service) -> None:
    body = make("数据 流水线", worker("抓取", "echo 你好", args=["é"], env_vars={"A": "ü"}))
    data(shared.client.post("/api/workflows", json=body), 201)
    (entity,) = data(shared.client.get("/api/workflows/数据 流水线/workers"))
    assert (entity["args"], entity["env_vars"]) == ('["é"]', '{"A": "ü"}')
    described = shared.client.get("/workflows/数据 流水线").json
    assert described["name"] == "数据 流水线"
    assert re.fullmatch(r"workflow-[0-9a-f]{12}", described["id"])
    assert described["steps"][0]["title"] == "抓取"


# Names


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\x00b", "a\nb", "x" * 201, 7])
def test_what_can_be_no_name_is_refused(shared: Service, name: Any) -> None:
    text = json.dumps(make("fine", worker(name)))
    response = shared.client.post("/api/workflows", data=text, content_type="application/json")
    assert "workers[0].name" in assert_refused(response, 422, "VALIDATION_FAILED")
    text = json.dumps(make(name, worker()))
    response = shared.client.post("/api/workflows", data=text, content_type="application/json")
    assert "name" in assert_refused(response, 422, "VALIDATION_FAILED")
    assert_refused(shared.client.get("/api/workflows/fine"), 404, "WORKFLOW_NOT_FOUND")


@pytest.mark.parametrize(
    "name", ["a b", "a?b", "a#b", "a%b", "a%2Fb", "a&b;c", "é", "名", "...", " x ", "-"]
)
def test_any_other_text_can(shared: Service, name: str) -> None:
    data(shared.client.post("/api/workflows", json=make(name, worker(name))), 201)
    quoted = quote(name, safe="")
    assert data(shared.client.get(f"/api/workflows/{quoted}"))["name"] == name
    assert data(shared.client.get(f"/api/workers/{quoted}/{quoted}"))["name"] == name
    assert shared.client.get(f"/workflows/{quoted}").json["name"] == name


def test_a_name_that_a_definition_has_is_free_here(shared: Service) -> None:
    step = {"id": "a", "type": "command", "config": {"command": "true"}}
    shared.client.post("/workflows", json={"id": "elsewhere", "steps": [step]})
    assert_refused(shared.client.get("/api/workflows/elsewhere"), 404, "WORKFLOW_NOT_FOUND")
    data(shared.client.post("/api/workflows", json=make("elsewhere", worker())), 201)
    listed = [w["id"] for w in shared.client.get("/workflows?name=elsewhere").json["workflows"]]
    assert len(listed) == 2


def test_a_name_stays_taken_when_its_definition_is_removed_elsewhere(shared: Service) -> None:
    body = make("gone", worker())
    data(shared.client.post("/api/workflows", json=body), 201)
    definition = {"id": "gone", "steps": [{"id": "a", "type": "script", "config": {"script": "x"}}]}
    replaced = shared.client.put("/workflows/gone", json=definition)
    assert replaced.status_code == 409, "its tasks are not those of the definition then"
    assert shared.client.delete("/workflows/gone").status_code == 204
    assert_refused(shared.client.get("/api/workflows/gone"), 404, "WORKFLOW_NOT_FOUND")
    assert_refused(shared.client.post("/api/workflows", json=body), 409, "WORKFLOW_ALREADY_EXISTS")


# Faults


CASES: list[tuple[Any, str]] = [
    ([], "body"),
    ("text", "body"),
    ({"name": "n"}, "workers"),
    ({"workers": []}, "name"),
    ({"name": "n", "workers": {}}, "workers"),
    ({"name": "n", "workers": None}, "workers"),
    ({"name": "n", "workers": [7]}, "workers[0]"),
    ({"name": "n", "workers": [], "working_dir": "/a\x00b"}, "working_dir"),
    ({"name": "n", "workers": [], "working_dir": "a\nb"}, "working_dir"),
    ({"name": "n", "workers": [], "working_dir": "/" + "x" * 256}, "working_dir"),
    ({"name": "n", "workers": [], "working_dir": 7}, "working_dir"),
    ({"name": "n", "workers": [{"name": "w"}]}, "workers[0].command"),
    ({"name": "n", "workers": [worker(args="--x")]}, "workers[0].args"),
    ({"name": "n", "workers": [worker(args=[1])]}, "workers[0].args[0]"),
    ({"name": "n", "workers": [worker(args=[None])]}, "workers[0].args[0]"),
    ({"name": "n", "workers": [worker(env_vars={"A": 1})]}, "workers[0].env_vars.A"),
    ({"name": "n", "workers": [worker(env_vars=[])]}, "workers[0].env_vars"),
    ({"name": "n", "workers": [worker(env_vars={"A=B": "x"})]}, "workers[0].env_vars.A=B"),
    ({"name": "n", "workers": [worker(env_vars={"A": "\x00"})]}, "workers[0].env_vars.A"),
    ({"name": "n", "workers": [worker(args=["\x00"])]}, "workers[0].args[0]"),
    ({"name": "n", "workers": [worker(args=["x" * 131_072])]}, "workers[0].args"),
    ({"name": "n", "workers": [worker(working_dir="/a\x00")]}, "workers[0].working_dir"),
    ({"name": "n", "workers": [worker(working_dir=1)]}, "workers[0].working_dir"),
    ({"name": "n", "workers": [worker(inputs=["a/b"])]}, "workers[0].inputs"),
    ({"name": "n", "workers": [worker(inputs={"a": "no-slash"})]}, "workers[0].inputs.a"),
    ({"name": "n", "workers": [worker(outputs={"a": None})]}, "workers[0].outputs.a"),
    ({"name": "n", "workers": [worker(outputs={"a": ""})]}, "workers[0].outputs.a"),
    ({"name": "n", "workers": [worker(command="")]}, "workers[0].command"),
    ({"name": "n", "workers": [worker(command="  ")]}, "workers[0].command"),
    ({"name": "n", "workers": [worker(command="echo 'open")]}, "workers[0].command"),
    ({"name": "n", "workers": [worker(command="echo \\")]}, "workers[0].command"),
    ({"name": "n", "workers": [worker(command=["echo"])]}, "workers[0].command"),
    ({"name": "n", "workers": [worker(workflow_name="other")]}, "workers[0].workflow_name"),
    ({"name": "n", "workers": [worker("a"), worker("a")]}, "workers[1].name"),
]


@pytest.mark.parametrize(("body", "path"), CASES)
def test_what_is_wrong_is_named_and_nothing_is_stored(
    shared: Service, body: Any, path: str
) -> None:
    response = shared.client.post("/api/workflows", json=body)
    message = assert_refused(response, 422, "VALIDATION_FAILED")
    assert message.startswith("请求格式正确但语义错误: ")
    assert path in message
    assert_refused(shared.client.get("/api/workflows/n"), 404, "WORKFLOW_NOT_FOUND")


@pytest.mark.parametrize("reference", ["fetcher/output", "fetcher/output/more", "nobody/output"])
def test_an_input_that_nobody_makes(shared: Service, reference: str) -> None:
    fetcher = worker("fetcher", outputs={"other": "/tmp/x"})
    body = make("n", fetcher, worker("processor", inputs={"i": reference}))
    response = shared.client.post("/api/workflows", json=body)
    text = f"依赖验证失败: worker 'processor' 依赖 '{reference}' 但该输出不存在"
    assert_refused(response, 422, "DEPENDENCY_VALIDATION_FAILED", text)
    assert_refused(shared.client.get("/api/workflows/n"), 404, "WORKFLOW_NOT_FOUND")


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_circle(shared: Service, length: int) -> None:
    names = [f"w{i}" for i in range(length)]
    workers = [
        worker(name, outputs={"o": "/tmp/x"}, inputs={"i": f"{names[i - 1]}/o"})
        for i, name in enumerate(names)
    ]
    response = shared.client.post("/api/workflows", json=make("n", *workers))
    assert_refused(response, 422, "CIRCULAR_DEPENDENCY", "检测到循环依赖，无法执行工作流")


def test_a_start_checks_the_inputs_again(shared: Service) -> None:
    fetcher = worker("fetcher", outputs={"o": "/tmp/x"})
    body = make("broken", fetcher, worker("next", inputs={"i": "fetcher/o"}))
    data(shared.client.post("/api/workflows", json=body), 201)
    data(shared.client.delete("/api/workers/broken/fetcher"))
    response = shared.client.post("/api/workflows/broken/start")
    text = "依赖验证失败: worker 'next' 依赖 'fetcher/o' 但该输出不存在"
    assert_refused(response, 422, "DEPENDENCY_VALIDATION_FAILED", text)
    assert shared.client.get("/workflows/broken").status_code == 404, "it cannot be launched"
    data(shared.client.delete("/api/workers/broken/next"))
    response = shared.client.post("/api/workflows/broken/start")
    assert_refused(response, 409, "WORKFLOW_NOT_RUNNABLE", "工作流 'broken' 没有工作者，无法启动")


def test_a_workflow_without_workers_can_be_made_and_not_started(shared: Service) -> None:
    data(shared.client.post("/api/workflows", json=make("void")), 201)
    assert data(shared.client.get("/api/workers/void")) == []
    assert_refused(shared.client.post("/api/workflows/void/start"), 409, "WORKFLOW_NOT_RUNNABLE")


@pytest.mark.parametrize(
    ("status", "code", "request_", "more"),
    [
        (404, "NOT_FOUND", "GET /api", {}),
        (404, "NOT_FOUND", "GET /api/", {}),
        (404, "NOT_FOUND", "POST /api/nothing/at/all", {}),
        (404, "NOT_FOUND", "GET /api/workflows/a%2Fb", {}),
        (405, "METHOD_NOT_ALLOWED", "DELETE /api/workflows", {}),
        (405, "METHOD_NOT_ALLOWED", "GET /api/workflows/x/start", {}),
        (400, "BAD_REQUEST", "POST /api/workflows", {"data": "{"}),
        (400, "BAD_REQUEST", "POST /api/workflows", {}),
        (400, "BAD_REQUEST", "POST /api/workflows",
         {"data": b"\xff", "content_type": "application/json"}),
        (413, "PAYLOAD_TOO_LARGE", "POST /api/workflows", {"data": b" " * 2_000_000}),
        (415, "UNSUPPORTED_MEDIA_TYPE", "POST /api/workflows",
         {"data": "{}", "content_type": "text/plain"}),
        (415, "UNSUPPORTED_MEDIA_TYPE", "POST /api/workflows",
         {"data": "{}", "content_type": "application/x-www-form-urlencoded"}),
        (421, "MISDIRECTED_REQUEST", "GET /api/workflows", {"headers": {"Host": "evil.example"}}),
        (403, "FORBIDDEN", "POST /api/workflows", {"headers": {"Origin": "http://evil.example"}}),
        (404, "WORKFLOW_NOT_FOUND", "GET /api/workflows/non-existent", {}),
        (404, "WORKFLOW_NOT_FOUND", "POST /api/workflows/non-existent/start", {}),
        (404, "WORKFLOW_NOT_FOUND", "GET /api/workflows/non-existent/workers", {}),
        (404, "WORKFLOW_NOT_FOUND", "GET /api/workers/non-existent", {}),
        (404, "WORKFLOW_NOT_FOUND", "GET /api/workers/non-existent/x", {}),
        (404, "WORKER_NOT_FOUND", f"GET {WORKERS}/x", {}),
        (404, "WORKER_NOT_FOUND", f"GET {WORKERS}/x/schema", {}),
        (404, "WORKER_NOT_FOUND", f"DELETE {WORKERS}/x", {}),
    ],
)  # fmt: skip
def test_whatever_fails_below_the_prefix_is_in_the_envelope(
    shared: Service, status: int, code: str, request_: str, more: dict[str, Any]
) -> None:
    method, path = request_.split(" ")
    response = shared.client.open(path, method=method, **more)
    message = assert_refused(response, status, code)
    if code == "WORKFLOW_NOT_FOUND":
        assert message == "工作流 'non-existent' 不存在"


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/nothing"])
def test_the_prefix_of_another_dialect_is_not_taken(
    shared: Service, tmp_path: Path, path: str
) -> None:
    assert shared.client.get(path).json["error"] == "not_found"
    without_it = open_service(tmp_path, api__dialects=["root", "wattle"])
    response = without_it.client.get(path)
    without_it.close()
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"


def test_without_a_conductor_nothing_is_started(
    shared: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    data(shared.client.post("/api/workflows", json=make("undriven", worker())), 201)
    monkeypatch.setattr(shared.services.standing, "_is_driven", lambda: False)
    for path in ("workflows/undriven/start", "workers/undriven/w/start"):
        response = shared.client.post(f"/api/{path}")
        assert_refused(response, 503, "SERVICE_UNAVAILABLE")
        assert response.headers["Retry-After"]
    assert data(shared.client.post("/api/workers/undriven/w/stop"))
    assert data(shared.client.get("/api/workflows/undriven"))["status"] == "created"


def test_a_crash_and_a_store_that_is_away_are_in_the_envelope(
    shared: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_with(error: Exception) -> Callable[..., Any]:
        def fail(*_: Any) -> Any:
            raise error

        return fail

    for error, status, code in (
        (StoreUnavailable("The store is away."), 503, "SERVICE_UNAVAILABLE"),
        (UpstreamRefused("No."), 503, "SERVICE_UNAVAILABLE"),
        (UpstreamTimeout("Late."), 503, "SERVICE_UNAVAILABLE"),
        (OSError(errno.ENOSPC, "No space left on device"), 503, "SERVICE_UNAVAILABLE"),
        (ZeroDivisionError(), 500, "INTERNAL_ERROR"),
    ):
        monkeypatch.setattr(type(shared.services.standing), "all", fail_with(error))
        assert_refused(shared.client.get("/api/workflows"), status, code)


# Who may do what


def test_making_a_workflow_takes_the_role_of_a_developer(guarded: Service) -> None:
    client = guarded.client
    body = make("owned", worker())
    refused = client.post("/api/workflows", json=body)
    assert_refused(refused, 401, "UNAUTHORIZED")
    assert refused.headers["WWW-Authenticate"]
    assert_refused(client.post("/api/workflows", json=body, headers=user("ada")), 403, "FORBIDDEN")
    assert_refused(client.get("/api/workflows"), 401, "UNAUTHORIZED")
    data(client.post("/api/workflows", json=body, headers=user("dev")), 201)


def test_only_its_maker_and_operators_know_of_a_workflow(guarded: Service) -> None:
    client = guarded.client
    data(client.post("/api/workflows", json=make("private", worker()), headers=user("dev")), 201)
    for path in ("/api/workflows/private", "/api/workers/private", "/api/workers/private/w"):
        assert_refused(client.get(path, headers=user("ada")), 404, "WORKFLOW_NOT_FOUND")
        data(client.get(path, headers=user("ops")))
        data(client.get(path, headers=user("dev")))
    start = "/api/workflows/private/start"
    assert_refused(client.post(start, headers=user("ada")), 404, "WORKFLOW_NOT_FOUND")
    names = [w["name"] for w in data(client.get("/api/workflows", headers=user("ada")))]
    assert "private" not in names
    taken = client.post("/api/workflows", json=make("private", worker()), headers=user("root"))
    assert_refused(taken, 409, "WORKFLOW_ALREADY_EXISTS")


def test_launches_by_others_are_executions_of_their_own(guarded: Service) -> None:
    client = guarded.client
    data(client.post("/api/workflows", json=make("common", worker()), headers=user("dev")), 201)

    def status() -> str:
        found: str = data(client.get("/api/workflows/common", headers=user("dev")))["status"]
        return found

    def current() -> str | None:
        execution = guarded.services.standing.get("common", DEV).execution
        return None if execution is None else execution.owner

    assert client.post("/workflows/common", headers=user("ada")).status_code == 201
    assert (status(), current()) == ("created", None)
    assert client.post("/workflows/common", headers=user("dev")).status_code == 201
    assert current() == "dev"
    assert client.post("/workflows/common", headers=user("ops")).status_code == 201
    assert current() == "ops"


@pytest.mark.parametrize("workers", [[], ["w"]], ids=["without-workers", "with-one"])
def test_an_id_of_virtual_users_is_left_to_them(guarded: Service, workers: list[str]) -> None:
    """Names of this API are its own, so another id is made of one."""
    name = f"load-{len(workers)}"
    step = {"id": "s1", "type": "http", "config": {"url": "http://127.0.0.1:1/"}}
    definition = {"id": name, "name": name, "steps": [step]}
    guarded.client.post("/api/v1/workflows", json={"workflow": definition}, headers=user("root"))
    body = make(name, *map(worker, workers))
    data(guarded.client.post("/api/workflows", json=body, headers=user("dev")), 201)
    listed = guarded.client.get("/workflows", headers=user("ada")).json["workflows"]
    offering = {w["id"]: w["orchestrator"] for w in listed if w["name"] == name}
    assert offering.pop(name) == "load"
    assert list(offering.values()) == ["local"] * len(workers)
    assert data(guarded.client.get(f"/api/workflows/{name}", headers=user("dev")))["name"] == name

"""A full disk, whatever is asked for: each API says so in its own form, and no trace is shown."""

from __future__ import annotations

import errno
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from access_kit import AUTH, endpoints, new_key, new_session
from kit.engine_v1 import get_step, load
from service_kit import PASSWORDS, Service, basic, open_service
from sqlalchemy import event
from werkzeug.test import TestResponse

from app.assembly import DIALECTS
from app.domain import ExecutionStatus, Identity, Observation, Role
from app.services.api_keys import Wish
from app.store.conductors import Conductors, Node, OwnProcess

ADMIN = basic("root", PASSWORDS["root"])
FLOW = "id: {}\nsteps:\n  - {{id: first, type: script, config: {{script: 'true'}}}}\n"
YAML = {"Content-Type": "application/yaml"}
_numbers = itertools.count()


@dataclass
class Things:
    """What requests are about, made anew for each."""

    service: Service

    def call(self, method: str, path: str, **more: Any) -> TestResponse:
        headers = ADMIN | more.pop("headers", {})
        return self.service.client.open(path, method=method, headers=headers, **more)

    def made(self, path: str, **more: Any) -> Any:
        response = self.call("POST", path, **more)
        assert response.status_code < 300, response.text
        return response

    def flow(self) -> str:
        name = f"flow-{next(_numbers)}"
        self.made("/workflows", data=FLOW.format(name), headers=YAML)
        return name

    def execution(self) -> str:
        location = self.made(f"/workflows/{self.flow()}", json={}).headers["Location"]
        return location.rpartition("/")[2]

    def failed(self) -> str:
        execution = self.service.store.get(self.execution())
        seen = Observation(ExecutionStatus.FAILED, cursor=None, log_complete=True)
        self.service.record(execution, seen)
        return execution.id

    def paused(self, execution: str) -> str:
        assert self.call("POST", f"/executions/{execution}/pause").status_code < 300
        return execution

    def slave(self) -> str:
        return self.service.add_slave(f"slave-{next(_numbers)}", max_vus=1000)

    def submission(self) -> dict[str, Any]:
        self.slave()
        step = get_step("http://127.0.0.1:1/")
        return {"workflow": load(step, mode="constant-vus", vus=1, duration="1m")}

    def load(self) -> str:
        return self.made("/api/v1/workflows", json=self.submission()).json["execution_id"]

    def load_workflow(self) -> str:
        body = self.submission()
        self.made("/api/v1/workflows", json=body)
        return body["workflow"]["id"]

    def standing(self) -> str:
        name = f"standing-{next(_numbers)}"
        self.made("/api/workflows", json=worker_of(name))
        return name

    def key(self) -> str:
        whole = Identity("root", frozenset({Role.ADMIN}))
        return self.service.services.api_keys.create(Wish(f"key-{next(_numbers)}"), whole)[1].id

    def ssh_key(self) -> str:
        return self.made("/ssh_keys", json={}).json["id"]

    def session(self) -> str:
        new_session(self.service, ADMIN)
        return self.call("GET", "/sessions").json["sessions"][0]["id"]

    def user(self) -> str:
        name = f"user-{next(_numbers)}"
        self.made("/users", json={"username": name, "password": "a password of theirs"})
        return name


def worker_of(name: str) -> dict[str, Any]:
    return {"name": name, "workers": [{"name": "w", "command": "true"}]}


WRITES: dict[tuple[str, str], Callable[[Things], tuple[str, dict[str, Any]]]] = {
    ("POST", "/workflows"): lambda t: (
        "/workflows", {"data": FLOW.format(f"flow-{next(_numbers)}"), "headers": YAML},
    ),
    ("PUT", "/workflows/<string:reference>"): lambda t: (
        f"/workflows/{(name := t.flow())}", {"data": FLOW.format(name) + "# new", "headers": YAML},
    ),
    ("DELETE", "/workflows/<string:reference>"): lambda t: (f"/workflows/{t.flow()}", {}),
    ("POST", "/workflows/<string:reference>"): lambda t: (f"/workflows/{t.flow()}", {"json": {}}),
    ("POST", "/workflows/<string:reference>/run"): lambda t: (
        f"/workflows/{t.flow()}/run", {"json": {}},
    ),
    **{
        ("POST", f"/executions/<string:execution_id>/{verb}"): lambda t, verb=verb: (
            f"/executions/{t.execution()}/{verb}", {},
        )
        for verb in ("pause", "tickets")
    },
    ("POST", "/executions/<string:execution_id>/resume"): lambda t: (
        f"/executions/{t.paused(t.execution())}/resume", {},
    ),
    ("POST", "/executions/<string:execution_id>/retry"): lambda t: (
        f"/executions/{t.failed()}/retry", {},
    ),
    ("POST", "/executions/<string:execution_id>/scale"): lambda t: (
        f"/executions/{t.load()}/scale", {"json": {"target_vus": 2}},
    ),
    ("DELETE", "/executions/<string:execution_id>"): lambda t: (
        f"/executions/{t.execution()}", {},
    ),
    ("POST", "/nodes/<string:node_id>/drain"): lambda t: (f"/nodes/{t.slave()}/drain", {}),
    ("POST", "/orchestrators/<string:orchestrator>/check"): lambda t: (
        f"/orchestrators/{t.service.settings.orchestrators[0].name}/check", {},
    ),
    ("POST", "/nodes/<string:node_id>/undrain"): lambda t: (f"/nodes/{t.slave()}/undrain", {}),
    ("POST", "/ssh_keys"): lambda t: ("/ssh_keys", {"json": {}}),
    ("DELETE", "/ssh_keys/<string:key_id>"): lambda t: (f"/ssh_keys/{t.ssh_key()}", {}),
    ("POST", "/api_keys"): lambda t: ("/api_keys", {"json": {"name": f"key-{next(_numbers)}"}}),
    ("DELETE", "/api_keys/<string:key_id>"): lambda t: (f"/api_keys/{t.key()}", {}),
    ("POST", "/auth/session"): lambda t: ("/auth/session", {}),
    ("DELETE", "/sessions"): lambda t: (t.session() and "/sessions", {}),
    ("DELETE", "/sessions/<string:session_id>"): lambda t: (f"/sessions/{t.session()}", {}),
    ("POST", "/users"): lambda t: (
        "/users", {"json": {"username": f"u{next(_numbers)}", "password": "a password of theirs"}},
    ),
    ("PATCH", "/users/<path:username>"): lambda t: (
        f"/users/{t.user()}", {"json": {"disabled": True}},
    ),
    ("DELETE", "/users/<path:username>"): lambda t: (f"/users/{t.user()}", {}),
    ("POST", "/api/workflows"): lambda t: (
        "/api/workflows", {"json": worker_of(f"standing-{next(_numbers)}")},
    ),
    ("POST", "/api/workflows/<string:workflow_name>/start"): lambda t: (
        f"/api/workflows/{t.standing()}/start", {},
    ),
    ("POST", "/api/workers/<string:workflow_name>/<string:worker_name>/start"): lambda t: (
        f"/api/workers/{t.standing()}/w/start", {},
    ),
    ("DELETE", "/api/workers/<string:workflow_name>/<string:worker_name>"): lambda t: (
        f"/api/workers/{t.standing()}/w", {},
    ),
    ("POST", "/api/v1/workflows"): lambda t: ("/api/v1/workflows", {"json": t.submission()}),
    ("DELETE", "/api/v1/workflows/<string:workflow_id>"): lambda t: (
        f"/api/v1/workflows/{t.load_workflow()}", {},
    ),
    ("POST", "/api/v1/executions/<string:execution_id>/pause"): lambda t: (
        f"/api/v1/executions/{t.load()}/pause", {},
    ),
    ("POST", "/api/v1/executions/<string:execution_id>/resume"): lambda t: (
        f"/api/v1/executions/{t.paused(t.load())}/resume", {},
    ),
    ("POST", "/api/v1/executions/<string:execution_id>/scale"): lambda t: (
        f"/api/v1/executions/{t.load()}/scale", {"json": {"target_vus": 2}},
    ),
    ("DELETE", "/api/v1/executions/<string:execution_id>"): lambda t: (
        f"/api/v1/executions/{t.load()}", {},
    ),
    ("POST", "/api/v1/slaves/<string:slave_id>/drain"): lambda t: (
        f"/api/v1/slaves/{t.slave()}/drain", {},
    ),
}  # fmt: skip
"""Requests that write, by method and rule: what makes each, as its path and the rest of it."""

ELSEWHERE = {
    ("POST", "/definitions/check"),
    *(("POST", f"/ssh_keys/<string:key_id>/{verb}") for verb in ("test", "rotate")),
    ("POST", "/auth/token"), ("DELETE", "/auth/session"), ("PUT", "/users/me/password"),
    ("POST", "/executions/<string:execution_id>/abandon"),
    *(("POST", f"/executions/<string:execution_id>/tasks/<string:name>/{verb}")
      for verb in ("restart", "start", "stop")),
    *(("POST", f"/api/workers/<string:workflow_name>/<string:worker_name>/{verb}")
      for verb in ("stop", "restart")),
}  # fmt: skip
"""Those that write nothing, or by what another one of the same kind writes by."""


@contextmanager
def full_database(service: Service) -> Iterator[None]:
    """Let no statement of SQLite's find room for what it writes."""

    def refuse(cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    engine = service.web.database.engine()
    for name in ("do_execute", "do_executemany"):
        event.listen(engine, name, refuse)
    try:
        yield
    finally:
        for name in ("do_execute", "do_executemany"):
            event.remove(engine, name, refuse)


@contextmanager
def full_folders(_: Service) -> Iterator[None]:
    """Let nobody make a file or a folder."""

    def refuse(path: Any, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def may_open(path: Any, flags: int, *args: Any, **more: Any) -> int:
        return refuse(path) if flags & os.O_CREAT else opened(path, flags, *args, **more)

    opened = os.open
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", may_open)
        patch.setattr(os, "mkdir", refuse)
        patch.setattr(os, "replace", refuse)
        yield


def assert_full(path: str, response: TestResponse) -> None:
    """Check that an answer says that there is no room, in the form of the API that was asked."""
    assert response.status_code in (503, 507), response.text
    body = response.json
    for inside in ("Traceback", "sqlite", "INSERT", "UPDATE", ".py", "Errno"):
        assert inside.lower() not in response.text.lower()
    assert int(response.headers["Retry-After"]) >= 1
    if path.startswith("/api/v1/"):
        assert body.keys() == {"error", "message"}
    elif path.startswith("/api/"):
        assert body["success"] is False
        assert body["error"]["code"] == "SERVICE_UNAVAILABLE"
    else:
        assert response.content_type == "application/problem+json"
        assert (body["code"], len(body["errors"])) == ("store_unavailable", 1)


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Things]:
    service = open_service(
        tmp_path_factory.mktemp("full"), api__auth=AUTH, api__dialects=[*DIALECTS]
    )
    # Workers are begun only where somebody is there who does it.
    conductors = Conductors(service.web.database)
    conductors.register("conductor", Node("node", "boot"), OwnProcess(1))
    yield Things(service)
    service.close()


@pytest.mark.parametrize("which", [pytest.param(w, id=" ".join(w)) for w in WRITES])
def test_without_room_in_the_database_nothing_is_done_and_with_it_all(
    things: Things, which: tuple[str, str]
) -> None:
    path, more = WRITES[which](things)
    with full_database(things.service):
        assert_full(path, things.call(which[0], path, **more))
    again = things.call(which[0], path, **more)
    assert again.status_code < 300, again.text


@pytest.mark.parametrize("which", [pytest.param(w, id=" ".join(w)) for w in WRITES])
def test_without_room_for_files_an_answer_says_so_or_needs_none(
    things: Things, which: tuple[str, str]
) -> None:
    path, more = WRITES[which](things)
    with full_folders(things.service):
        response = things.call(which[0], path, **more)
    if response.status_code >= 300:
        assert_full(path, response)
        response = things.call(which[0], path, **more)
    assert response.status_code < 300, response.text


@pytest.mark.parametrize("path", ["/executions", "/api/workflows", "/api/v1/executions"])
def test_without_room_what_reads_is_answered_also_by_a_key_whose_use_is_noted(
    things: Things, path: str
) -> None:
    key, _ = new_key(things.service, "root")
    with full_database(things.service), full_folders(things.service):
        response = things.service.client.get(path, headers={"X-API-Key": key})
    assert response.status_code == 200, response.text


def test_tokens_need_room_for_their_signing_key_only(tmp_path: Path) -> None:
    service = open_service(tmp_path, api__auth=AUTH)
    asked = ("POST", "/auth/token")
    with full_database(service):
        assert_full("/auth/token", Things(service).call(*asked))
    assert Things(service).call(*asked).status_code == 200
    with full_database(service):
        assert Things(service).call(*asked).status_code == 200
    service.close()


def test_whatever_writes_was_tried(things: Things) -> None:
    found = {(each.method, each.rule) for each in endpoints(things.service)}
    # Pages write by the services that these requests write by.
    writing = {each for each in found if each[0] != "GET" and not each[1].startswith("/ui/")}
    assert writing == {*WRITES, *ELSEWHERE}

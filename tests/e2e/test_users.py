"""Users who are changed while the service runs: each web process knows within a second."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from kit.definitions import script, workflow
from kit.fixtures import SETTINGS
from kit.guides import blocks, run_block
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service, manage, run_slipway

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "identities.md"
HEADS = ("Users", "The a")
PROCESSES = 2
TRIES = 16
ROOT = ("root", "the first password")
PASSWORD = "eve's own password"
OK, REFUSED, NOT_ALLOWED = {200}, {401, 429}, {403}
"""What is answered; wrong credentials are slowed down after some."""
_numbers = itertools.count()

Command = Callable[..., str]


@pytest.fixture(scope="module")
def env(store_settings: dict[str, str]) -> dict[str, str]:
    """Settings of a service that knows no user from them."""
    return {
        **SETTINGS,
        **store_settings,
        "SLIPWAY_WEB__PROCESSES": str(PROCESSES),
        "SLIPWAY_API__AUTH__TYPE": "basic",
        "SLIPWAY_API__AUTH__RECHECK": "500ms",
        "SLIPWAY_OBSERVABILITY__LOG_FORMAT": "json",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("users")


@pytest.fixture(scope="module")
def user(env: dict[str, str], folder: Path) -> Command:
    """Return a function that runs ``slipway user`` on the store of the service."""

    def run(*arguments: str, password: str = "") -> str:
        return manage("user", *arguments, "--data-dir", folder / "data", env=env, typed=password)

    return run


@pytest.fixture(scope="module")
def service(env: dict[str, str], folder: Path, user: Command) -> Iterator[Service]:
    """A service of two web processes, whose first admin was added before it started."""
    user("add", ROOT[0], "--role", "admin", password=ROOT[1])
    made = Service(folder, env=env)
    made.user = ROOT
    yield made.start()
    made.end()


def call(service: Service, who: tuple[str, str], method: str, path: str, **more: Any) -> Any:
    """Send a request over a connection of its own, which any web process may get."""
    return requests.request(
        method, service.url + path, auth=who, timeout=PATIENCE_SECONDS, **more
    )  # fmt: skip


def answers(service: Service, who: tuple[str, str], path: str = "/workflows") -> set[int]:
    """Return the statuses that all web processes answer: one connection after the other."""
    return {call(service, who, "GET", path).status_code for _ in range(TRIES)}


@pytest.fixture
def eve(service: Service) -> tuple[str, str]:
    """A developer of a name of their own, whose password both web processes remember."""
    return added(service, "developer")


def added(service: Service, role: str) -> tuple[str, str]:
    """Add a user of a name of their own, whose password both web processes remember."""
    name = f"eve-{next(_numbers)}"
    new = {"username": name, "password": PASSWORD, "roles": [role]}
    assert call(service, ROOT, "POST", "/users", json=new).status_code == 201
    # Until a process has heard of them they are one of the names that nobody has, which were tried
    # too often from here.
    await_that(lambda: answers(service, (name, PASSWORD)) == OK, "every process knows them")
    return name, PASSWORD


CHANGES = {
    "disabled": ("PATCH", {"disabled": True}, ("disable",), REFUSED),
    "removed": ("DELETE", None, ("remove",), REFUSED),
    "roles": ("PATCH", {"roles": ["admin"]}, ("roles", "admin"), OK),
}


@pytest.mark.parametrize("way", ["http", "command line"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_counts_in_every_web_process(
    service: Service, user: Command, eve: tuple[str, str], change: str, way: str
) -> None:
    method, body, words, then = CHANGES[change]
    assert answers(service, eve, "/users") == NOT_ALLOWED
    if way == "http":
        assert call(service, ROOT, method, f"/users/{eve[0]}", json=body).ok
    else:
        user(words[0], eve[0], *words[1:])
    time.sleep(1.0)  # the bound that is promised
    assert answers(service, eve, "/users") <= then


def test_another_password_counts_in_every_web_process(
    service: Service, user: Command, eve: tuple[str, str]
) -> None:
    user("passwd", eve[0], password="set by an operator")
    time.sleep(1.0)
    assert answers(service, (eve[0], "set by an operator")) == OK
    assert answers(service, eve) <= REFUSED


def test_what_a_disabled_user_follows_ends(service: Service, eve: tuple[str, str]) -> None:
    flow = workflow("long", script("a", "sleep 1000"))
    assert call(service, eve, "PUT", "/workflows/long", json=flow).ok
    path = call(service, eve, "POST", "/workflows/long").headers["Location"]
    begun: list[str] = []
    said: list[str] = []

    def follow() -> None:
        headers = {"Accept": "text/event-stream"}
        with call(service, eve, "GET", f"{path}/logs", headers=headers, stream=True) as response:
            lines = response.iter_lines(decode_unicode=True)
            begun.append(next(lines))
            said.append("\n".join(lines))

    followers = [threading.Thread(target=follow) for _ in range(8)]
    for follower in followers:
        follower.start()
    await_that(lambda: len(begun) == len(followers), "all follow it")
    await_that(lambda: _state(service, path) == "RUNNING", "it runs")
    assert call(service, ROOT, "PATCH", f"/users/{eve[0]}", json={"disabled": True}).ok
    for follower in followers:
        follower.join(PATIENCE_SECONDS)
    assert len(said) == len(followers)
    assert all("no such user any more" in text for text in said)
    call(service, ROOT, "DELETE", path)


class Page:
    """A page in a session: each request goes over a connection of its own."""

    def __init__(self, service: Service, who: tuple[str, str]) -> None:
        begun = call(service, who, "POST", "/auth/session")
        assert begun.status_code == 201, begun.text
        self._service = service
        self._headers = {"Cookie": begun.headers["Set-Cookie"].partition(";")[0]}
        self.csrf = {"X-CSRF-Token": begun.json()["csrf_token"]}

    def call(self, method: str, path: str, headers: dict[str, str], **more: Any) -> Any:
        url, headers = self._service.url + path, {**self._headers, **headers}
        return requests.request(method, url, headers=headers, timeout=PATIENCE_SECONDS, **more)

    def statuses(self, path: str = "/workflows") -> set[int]:
        """Return what all web processes answer."""
        return {self.call("GET", path, {}).status_code for _ in range(TRIES)}


@pytest.fixture(scope="module")
def long(service: Service) -> Iterator[str]:
    """An execution that everybody may follow who may follow all, and goes on for long."""
    flow = workflow("endless", script("a", "sleep 1000"))
    assert call(service, ROOT, "PUT", "/workflows/endless", json=flow).ok
    path = str(call(service, ROOT, "POST", "/workflows/endless").headers["Location"])
    await_that(lambda: _state(service, path) == "RUNNING", "it runs")
    yield path
    call(service, ROOT, "DELETE", path)


SESSION_ENDS = {
    "disabled": ("PATCH", {"disabled": True}),
    "removed": ("DELETE", None),
    "password": ("PATCH", {"password": "set by an admin"}),
}


@pytest.mark.parametrize("change", [*SESSION_ENDS, "signed out"])
def test_a_session_ends_in_every_web_process_with_what_is_followed_in_it(
    service: Service, long: str, change: str
) -> None:
    eve = added(service, "operator")
    page = Page(service, eve)
    assert page.statuses() == OK
    events = {"Accept": "text/event-stream"}
    streams = [page.call("GET", f"{long}/logs", events, stream=True) for _ in range(8)]
    assert {stream.status_code for stream in streams} == OK
    if change == "signed out":
        assert page.call("DELETE", "/auth/session", page.csrf).ok
    else:
        method, body = SESSION_ENDS[change]
        assert call(service, ROOT, method, f"/users/{eve[0]}", json=body).ok
    time.sleep(1.0)  # the bound that is promised
    assert page.statuses() == {401}
    said = [stream.text for stream in streams]  # each ends
    assert all("session has ended" in text for text in said), said


def test_a_session_has_the_roles_of_now_in_every_web_process(
    service: Service, long: str, eve: tuple[str, str]
) -> None:
    assert call(service, ROOT, "PATCH", f"/users/{eve[0]}", json={"roles": ["operator"]}).ok
    time.sleep(1.0)
    page = Page(service, eve)
    assert page.statuses(long) == OK
    events = {"Accept": "text/event-stream"}
    streams = [page.call("GET", f"{long}/logs", events, stream=True) for _ in range(8)]
    assert {stream.status_code for stream in streams} == OK
    assert call(service, ROOT, "PATCH", f"/users/{eve[0]}", json={"roles": ["user"]}).ok
    time.sleep(1.0)
    assert page.statuses(long) == {404}
    assert page.statuses() == OK
    assert all(stream.text for stream in streams)  # each ends


def _state(service: Service, path: str) -> str:
    return str(call(service, ROOT, "GET", path).json()["state"])


def test_a_service_without_users_starts_and_says_how_to_add_one(tmp_path: Path) -> None:
    lonely = Service(tmp_path, env={**SETTINGS, "SLIPWAY_API__AUTH__TYPE": "basic"})
    try:
        lonely.start()
        assert "slipway user add" in lonely.log
        assert requests.get(f"{lonely.url}/health", timeout=PATIENCE_SECONDS).ok
        words = ("user", "add", "root", "--role", "admin", "--data-dir", lonely.data_dir)
        added = run_slipway(*words, typed=ROOT[1])
        assert added.returncode == 0, added.stderr
        assert call(lonely, ROOT, "GET", "/users").status_code == 200
    finally:
        lonely.end()
    assert run_slipway("user", "list", "--data-dir", lonely.data_dir).stdout == "root: admin\n"


def test_no_secret_is_in_the_log_the_audit_or_the_list_of_processes(
    service: Service, user: Command, eve: tuple[str, str]
) -> None:
    wrong, mistyped = "guessed-and-wrong", "tried-as-a-name"
    for who in ((eve[0], wrong), (mistyped, "x")):
        assert call(service, who, "GET", f"/executions?password={wrong}").status_code == 401
    listed = json.dumps(call(service, ROOT, "GET", "/audit?page_size=1000").json())
    told = service.log
    arguments = b"".join(
        path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    )
    assert '"event": "audit"' in told
    # Operators shut out who guesses by it; the audit, which more people read, does not have it.
    assert f'"user": "{mistyped}"' in told
    assert mistyped not in listed
    for secret in (ROOT[1], PASSWORD, wrong, "set by an operator", "argon2"):
        assert secret not in listed
        assert secret not in told
        assert secret.encode() not in arguments


def test_what_was_changed_is_in_the_audit_although_everything_is_killed_at_once(
    service: Service, eve: tuple[str, str]
) -> None:
    made = call(service, ROOT, "PATCH", f"/users/{eve[0]}", json={"roles": ["operator"]})
    service.kill_all()
    assert made.ok
    service.start()
    events = call(service, ROOT, "GET", "/audit?action=users:change").json()["events"]
    mine = [event for event in events if event["request_id"] == made.headers["X-Request-ID"]]
    assert [event["detail"] for event in mine] == ["roles: operator"]
    assert answers(service, eve, "/executions") == OK


@pytest.mark.runs(
    "docs/guides/identities.md", "### The first admin", "### Over HTTP", "## The audit"
)
def test_the_lines_of_the_guide_do_what_it_says(tmp_path: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    mine = [part for part in re.split(r"^## ", text, flags=re.MULTILINE) if part[:5] in HEADS]
    lines = [block for part in mine for block in blocks(part)]
    assert len(lines) == 5
    guided = Service(tmp_path, env={**SETTINGS, "SLIPWAY_API__AUTH__TYPE": "basic"})
    config = tmp_path / "slipway.yaml"
    config.write_text(f"data_dir: {guided.data_dir}\napi: {{auth: {{type: basic}}}}\n", "utf-8")
    passwords = {"root": ROOT[1], "eve": "a long password"}
    try:
        guided.start()
        said = [
            run_block(block, tmp_path, passwords=passwords, typed=f"{ROOT[1]}\n", URL=guided.url)
            for block in (*lines[:2], *_with_eve_again(lines[2:]))
        ]
    finally:
        guided.end()
    assert "root: admin" in said[0]
    assert "ada: user, developer" in said[1]
    assert [event["action"] for event in _events(said[-1], 1)] == ["users:change"] * 2


def _with_eve_again(lines: list[str]) -> list[str]:
    """Put in that eve, whom the guide removes in the end, comes back for her own password."""
    again = """curl -u root -H 'Content-Type: application/json' $URL/users \\
      -d '{"username": "eve", "password": "a long password", "again": true}'"""
    return [lines[0], again, *lines[1:]]


def _events(said: str, line: int) -> list[dict[str, Any]]:
    pages = [page for page in said.splitlines() if page]
    found: list[dict[str, Any]] = json.loads(pages[line])["events"]
    return found

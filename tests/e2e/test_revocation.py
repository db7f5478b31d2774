"""A credential that is revoked, or expires, ends what is held with it in every web process."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket
from kit.definitions import script, workflow
from kit.fixtures import SETTINGS
from kit.following import close_frame
from kit.guarded import root_looks_into_them
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service

AUTHENTICATORS = Path(__file__).parents[1] / "unit"
PROCESSES = 2
OF_EACH = 4
BATCHES = 20
FORMS = {
    "sse": ("logs", "text/event-stream"),
    "ndjson": ("logs", "application/x-ndjson"),
    "poll": ("logs?from=1000&timeout=5m", "application/json"),
    "wait": ("?wait=5m", "application/json"),
}


class Tokens:
    """The file of the tokens, which every web process reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, Any] = {}

    def put(self, id_: str, **more: Any) -> None:
        digest = hashlib.sha256(b"secret").hexdigest()
        roles = ["user", "developer"]
        self._entries[id_] = {"digest": digest, "user": "ada", "roles": roles, **more}
        self._write()

    def revoke(self, id_: str) -> None:
        del self._entries[id_]
        self._write()

    def _write(self) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self._entries), encoding="utf-8")
        new.replace(self.path)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    made = Tokens(tmp_path_factory.mktemp("tokens") / "tokens.json")
    made.put("keeper")
    return made


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, tokens: Tokens) -> Iterator[Service]:
    env = {
        "PYTHONPATH": str(AUTHENTICATORS),
        "SLIPWAY_WEB__PROCESSES": str(PROCESSES),
        "SLIPWAY_API__AUTH__TYPE": '[basic, "toy_authenticator:StaticTokens"]',
        "SLIPWAY_API__AUTH__USERS": '[{username: bob, password: "b"}]',
        "SLIPWAY_API__AUTH__STATIC__FILE": str(tokens.path),
        "SLIPWAY_API__AUTH__RECHECK": "500ms",
    }
    made = Service(tmp_path_factory.mktemp("revoking"), env={**SETTINGS, **env})
    yield made.start()
    made.end()


def bearer(id_: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {id_}.secret"}


@pytest.fixture(scope="module")
def execution(service: Service) -> str:
    """An execution of ada's that goes on for as long as the tests."""
    flow = workflow("long", script("a", "sleep 1000"))
    made = requests.post(
        f"{service.url}/workflows", json=flow, headers=bearer("keeper"), timeout=PATIENCE_SECONDS
    )
    assert made.status_code == 201, made.text
    launched = requests.post(
        f"{service.url}/workflows/long", headers=bearer("keeper"), timeout=PATIENCE_SECONDS
    )
    path = launched.headers["Location"]

    def state() -> str:
        asked = f"{service.url}{path}"
        found = requests.get(asked, headers=bearer("keeper"), timeout=PATIENCE_SECONDS)
        return str(found.json()["state"])

    # A wait for a change must not end by one.
    await_that(lambda: state() == "RUNNING", "it runs")
    return path


class Held:
    """Requests of every kind that are held, each over a connection of its own."""

    def __init__(self, service: Service, path: str, id_: str) -> None:
        self._service, self._path, self._headers = service, path, bearer(id_)
        self.outcomes: list[tuple[str, str]] = []
        kinds = [*FORMS, "events", "ws"] * OF_EACH
        self._threads = [threading.Thread(target=self._hold, args=(kind,)) for kind in kinds]
        for thread in self._threads:
            thread.start()

    def _hold(self, kind: str) -> None:
        self.outcomes.append((kind, self._ws() if kind == "ws" else self._http(kind)))

    def _http(self, kind: str) -> str:
        more, accept = FORMS.get(kind, ("", "text/event-stream"))
        path = "/executions/events" if kind == "events" else f"{self._path}/{more}"
        headers = {**self._headers, "Accept": accept}
        url = self._service.url + path.replace("/?", "?")
        return requests.get(url, headers=headers, timeout=PATIENCE_SECONDS).text

    def _ws(self) -> str:
        header = [f"{name}: {value}" for name, value in self._headers.items()]
        url = f"{self._service.url.replace('http', 'ws', 1)}{self._path}/ws"
        ws = websocket.create_connection(url, header=header, timeout=PATIENCE_SECONDS)
        code, reason = close_frame(ws)
        assert code == 1008
        return reason.decode()

    def join(self) -> list[tuple[str, str]]:
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        return self.outcomes

    def __len__(self) -> int:
        return len(self._threads)


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_it_ends_what_is_held_on_every_transport_in_every_process(
    service: Service, tokens: Tokens, execution: str, end: str
) -> None:
    root_looks_into_them()
    tokens.put("leaver")
    following = {**bearer("keeper"), "Accept": "text/event-stream"}
    logs = f"{service.url}{execution}/logs"
    kept = requests.get(logs, headers=following, timeout=PATIENCE_SECONDS, stream=True)
    pids = service.children("web")
    assert len(pids) == PROCESSES
    held = [Held(service, execution, "leaver")]
    await_that(lambda: sum(_connections(pids)) > len(held[0]), "all are connected")
    while not min(_connections(pids)) and len(held) < BATCHES:  # the kernel chooses the process
        held.append(Held(service, execution, "leaver"))
        await_that(lambda: sum(_connections(pids)) > sum(map(len, held)), "all are connected")
    assert min(_connections(pids))
    await_that(lambda: _held(service) == sum(map(len, held)) + 1, "all are held")
    assert not any(batch.outcomes for batch in held)
    if end == "revoked":
        tokens.revoke("leaver")
    else:
        tokens.put("leaver", expires_at=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    outcomes = [outcome for batch in held for outcome in batch.join()]
    message = {"revoked": "The token was revoked.", "expired": "The credential has expired."}[end]
    assert len(outcomes) == sum(map(len, held))
    assert {text for _, text in outcomes if message not in text} == set()
    refused = requests.get(
        f"{service.url}{execution}", headers=bearer("leaver"), timeout=PATIENCE_SECONDS
    )
    assert refused.status_code == 401
    assert "Basic" in refused.headers["WWW-Authenticate"]
    assert "Bearer" in refused.headers["WWW-Authenticate"]
    assert next(kept.iter_lines()) is not None
    kept.close()


def _held(service: Service) -> float:
    """Number of requests that the web processes hold together, whichever of them tells it."""
    text = requests.get(f"{service.url}/metrics", timeout=PATIENCE_SECONDS).text
    lines = (line.split() for line in text.splitlines())
    return sum(float(n[-1]) for n in lines if n and n[0].startswith("slipway_held_requests{"))


def _connections(pids: list[int]) -> list[int]:
    """Number of TCP connections that clients have with each of some processes."""
    established = "01"
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        if line.split()[3] == established
    }
    return [_sockets_among(pid, inodes) for pid in pids]


def _sockets_among(pid: int, inodes: set[str]) -> int:
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(link.readlink()))
        except OSError:
            continue  # closed meanwhile
    return sum(link.removeprefix("socket:[").removesuffix("]") in inodes for link in links)

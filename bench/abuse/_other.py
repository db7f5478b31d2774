"""The other user, who only wants to work."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from multiprocessing.connection import Connection as Pipe

from bench.abuse._users import OTHER, authorization

KINDS = ("health", "list", "launch", "echo")
Delays = dict[str, list[float]]
"""Milliseconds by what was asked for."""

OTHERS_WORKFLOWS = (
    {"id": "echo", "steps": [{"id": "a", "type": "command", "config": {"command": "echo"}}]},
    {"id": "nothing", "steps": [{"id": "a", "type": "command", "config": {"command": "true"}}]},
)
_EVERY_SECONDS = {"health": 0.01, "list": 0.1, "launch": 0.5, "echo": 0.1}
_PATIENCE_SECONDS = 60.0


class _Visitor:
    """Asks for one kind of thing again and again, on one connection."""

    def __init__(self, port: int, kind: str) -> None:
        self._ask: Callable[[], float | None] = getattr(self, f"_{kind}")
        self._pause = _EVERY_SECONDS[kind]
        self._connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
        self._delays: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def leave(self) -> list[float]:
        """Return the delays; that of a request which is under way still counts."""
        self._done.set()
        self._thread.join()
        return self._delays

    def _live(self) -> None:
        due = time.monotonic()
        while not self._done.is_set():
            try:
                waited = self._ask()
                took = time.monotonic() - due if waited is None else waited
            except (OSError, HTTPException, AssertionError):
                took = _PATIENCE_SECONDS  # as bad as an answer that does not come
                self._connection.close()
            self._delays.append(took * 1000)
            due = max(due + self._pause, time.monotonic() - self._pause)
            time.sleep(max(0.0, due - time.monotonic()))
            due = time.monotonic() if self._pause > 0.05 else due

    def _send(self, method: str, path: str, expected: int) -> tuple[bytes, str]:
        headers = {"Authorization": authorization(OTHER), "Content-Type": "application/json"}
        self._connection.request(method, path, headers=headers)
        response = self._connection.getresponse()
        body = response.read()
        assert response.status == expected, body
        return body, response.headers.get("Location", "")

    def _health(self) -> None:
        self._send("GET", "/health", 200)

    def _list(self) -> None:
        self._send("GET", "/executions?page_size=20", 200)

    def _launch(self) -> None:
        self._send("POST", "/workflows/nothing", 201)

    def _echo(self) -> float:
        """Return the seconds from the launch until the command began."""
        location = self._send("POST", "/workflows/echo", 201)[1]
        while True:
            ended = json.loads(self._send("GET", f"{location}?wait=30s", 200)[0])
            if ended["finished_at"] is not None:
                began = datetime.fromisoformat(ended["tasks"][0]["started_at"])
                return (began - datetime.fromisoformat(ended["created_at"])).total_seconds()


def live(pipe: Pipe, port: int) -> None:
    """Work from one message to the next, and give the delays; round after round.

    The second message is how many seconds to go on for.
    """
    while True:
        pipe.recv()
        visitors = {kind: _Visitor(port, kind) for kind in KINDS}
        time.sleep(pipe.recv())
        pipe.send({kind: visitor.leave() for kind, visitor in visitors.items()})

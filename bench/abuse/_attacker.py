"""The attacker: what all cases need."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from multiprocessing.connection import Connection as Pipe
from typing import Any

from bench.abuse._users import ATTACKER, DEVELOPER, authorization

_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Case:
    """One thing to send.

    Attributes:
        attack: Sends it until the attacker's time is over; says in a few words what came back.
        prepare: Defines workflows and writes logs before; the service is started anew afterwards.
        env: More settings of the service.
    """

    name: str
    attack: Callable[[Attacker], str]
    prepare: Callable[[Attacker], None] | None = None
    env: Mapping[str, str] = field(default_factory=dict)


class Attacker:
    """A client that is up to no good.

    Args:
        port: Where the service listens, on 127.0.0.1.
        seconds: How long it goes on.
    """

    def __init__(self, port: int, seconds: float = 0.0) -> None:
        self.port = port
        self._end = time.monotonic() + seconds

    @property
    def goes_on(self) -> bool:
        """Whether its time is not over yet."""
        return time.monotonic() < self._end

    def rest(self) -> None:
        """Wait until its time is over."""
        time.sleep(max(0.0, self._end - time.monotonic()))

    def open(self) -> socket.socket:
        """Open a connection to write whatever it likes to."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE_SECONDS)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str = ATTACKER,
        password: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Make one request on a connection of its own.

        A body of bytes or text is sent as it is, anything else as JSON.

        Returns:
            Status, body and headers; status 0 where the service hung up.
        """
        connection = HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_SECONDS)
        payload = body if body is None or isinstance(body, bytes | str) else json.dumps(body)
        given = {"Authorization": authorization(user, password)}
        given["Content-Type"] = "application/json"
        try:
            connection.request(method, path, payload, {**given, **(headers or {})})
            response = connection.getresponse()
            return response.status, response.read(), dict(response.headers)
        except (OSError, HTTPException):
            return 0, b"", {}
        finally:
            connection.close()

    def define(self, definition: Mapping[str, Any] | bytes) -> int:
        """Upload a definition as the developer; return the status."""
        return self.call("POST", "/workflows", definition, user=DEVELOPER)[0]

    def launch(self, workflow: str, inputs: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Launch a workflow; return the status and the execution's address."""
        body = {"inputs": dict(inputs or {})}
        status, _, headers = self.call("POST", f"/workflows/{workflow}", body)
        return status, headers.get("Location", "")

    def together(self, number: int, act: Callable[[], None]) -> None:
        """Do something in several threads, and wait for them all."""
        threads = [threading.Thread(target=act) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def statuses(seen: list[int]) -> str:
    """Return which answers came, and how often."""
    counted = {status: seen.count(status) for status in sorted(set(seen))}
    return ", ".join(f"{number} x {status or 'hung up'}" for status, number in counted.items())


def attack(pipe: Pipe, port: int, name: str, seconds: float) -> str:
    """Wait for the word to begin, and play one case."""
    from bench.abuse import case_of  # noqa: PLC0415  (the cases import this module)

    os.nice(19)  # an attacker has a machine of their own
    pipe.recv()
    return case_of(name).attack(Attacker(port, seconds))


def one_script(id_: str, script: str, **more: Any) -> dict[str, Any]:
    """Make a definition of one step."""
    step = {"id": "a", "type": "script", "config": {"script": script}}
    return {"id": id_, "steps": [step], **more}

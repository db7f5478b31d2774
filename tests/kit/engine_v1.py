"""A client of the Workflow Engine's API, and the definitions that tests submit by it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import requests
import websocket
from kit.patience import PATIENCE_SECONDS, await_that

FINAL = ("completed", "failed", "aborted")
_numbers = itertools.count(1)


def get_step(url: str, name: str = "s1", **more: Any) -> dict[str, Any]:
    """A step that gets an address."""
    return {"id": name, "type": "http", "config": {"method": "GET", "url": url}, **more}


def load(*steps: dict[str, Any], **options: Any) -> dict[str, Any]:
    """A definition with an id of its own."""
    return {"id": f"load-{next(_numbers)}", "options": options, "steps": [*steps]}


class EngineClient:
    """Somebody who uses the API of a running service.

    Args:
        url: Where the service is.
        key: An API key, if they have one.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url
        self.headers = {} if key is None else {"X-API-Key": key}

    def send(self, method: str, path: str, **more: Any) -> requests.Response:
        return requests.request(
            method, f"{self.url}/api/v1{path}", headers=self.headers, timeout=PATIENCE_SECONDS,
            **more,
        )  # fmt: skip

    def ask(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """Send a request that must get a status, and return what is answered."""
        response = self.send(method, path, **more)
        assert response.status_code == status, response.text
        assert response.headers["Content-Type"] == "application/json"
        return response.json()

    def submit(self, workflow: Mapping[str, Any]) -> str:
        """Submit a definition, and return the id of its execution."""
        answer = self.ask("POST", "/workflows", 201, json={"workflow": workflow})
        assert answer["status"] == "submitted"
        return str(answer["execution_id"])

    def run(self, workflow: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Submit a definition, wait for its end, and return its id and its metrics."""
        execution = self.submit(workflow)
        self.ended(execution)
        return execution, self.metrics(execution)

    def execution(self, execution: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/executions/{execution}")
        return found

    def metrics(self, execution: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/executions/{execution}/metrics")
        return found

    def steer(self, execution: str, verb: str, status: int = 200, **body: Any) -> Any:
        more = {"json": body} if body else {}
        return self.ask("POST", f"/executions/{execution}/{verb}", status, **more)

    def stop(self, execution: str, status: int = 200) -> Any:
        return self.ask("DELETE", f"/executions/{execution}", status)

    def until(self, execution: str, *wanted: str) -> dict[str, Any]:
        """Wait until an execution has one of some statuses."""
        return self.watch(execution, lambda view: view["status"] in wanted)

    def ended(self, execution: str) -> dict[str, Any]:
        return self.until(execution, *FINAL)

    def watch(self, execution: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until something holds of an execution."""

        def looked() -> dict[str, Any] | None:
            view = self.execution(execution)
            return view if holds(view) else None

        return await_that(looked, "the execution is as expected")  # type: ignore[return-value]

    def slaves(self, *states: str) -> list[str]:
        """The ids of the slaves in some states; of all where none is given."""
        found = self.ask("GET", "/slaves")["slaves"]
        return [s["id"] for s in found if not states or s["status"]["state"] in states]

    def joined(self, *names: str) -> None:
        """Wait until slaves of these ids are there."""
        await_that(lambda: {*names} <= {*self.slaves("online", "busy")}, "the slaves have joined")

    def connected(self, execution: str) -> websocket.WebSocket:
        """Open the WebSocket of an execution."""
        address = self.url.replace("http", "ws", 1)
        return websocket.create_connection(
            f"{address}/api/v1/executions/{execution}/ws", timeout=PATIENCE_SECONDS,
            header=self.headers,
        )  # fmt: skip

    def messages(self, execution: str) -> Iterator[dict[str, Any]]:
        """Follow the metrics of an execution until the service closes the connection, by 1000."""
        with closing(self.connected(execution)) as socket:
            while True:
                code, data = socket.recv_data()
                if code == websocket.ABNF.OPCODE_CLOSE:
                    assert int.from_bytes(data[:2], "big") == 1000, data
                    return
                assert code == websocket.ABNF.OPCODE_TEXT
                yield json.loads(data)

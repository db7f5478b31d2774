"""A user of the root API, who knows HTTP only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import requests
from kit.patience import PATIENCE_SECONDS

_FINAL = {"SUCCESS", "FAILED", "CANCELLED"}

ALL_LEVELS = 15


class Client:
    """Speaks with one service over one connection, so each thread needs its own.

    Args:
        url: Where the service is.
        auth: User name and password.
    """

    def __init__(self, url: str, auth: tuple[str, str] | None = None) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = auth

    def send(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send any request; every answer is fine."""
        more.setdefault("timeout", PATIENCE_SECONDS)
        return self._session.request(method, self.url + path, **more)

    def get(self, path: str, **params: Any) -> Any:
        """Get JSON."""
        response = self.send("GET", path, params=params)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text}"
        return response.json()

    def upload(self, definition: Mapping[str, Any]) -> str:
        """Upload a definition, and return its id."""
        response = self.send("PUT", f"/workflows/{definition['id']}", json=definition)
        assert response.status_code in {200, 201}, response.text
        return str(definition["id"])

    def launch(
        self, workflow: str, inputs: Mapping[str, Any] | None = None, key: str | None = None
    ) -> str:
        """Launch a workflow, and return the id of the execution."""
        headers = {"Idempotency-Key": key} if key else {}
        response = self.send(
            "POST", f"/workflows/{workflow}", json={"inputs": inputs or {}}, headers=headers
        )
        assert response.status_code == 201, response.text
        assert response.headers["Content-Length"] == "0"
        prefix, _, execution = response.headers["Location"].rpartition("/")
        assert prefix == "/executions"
        return execution

    def run(self, definition: Mapping[str, Any], inputs: Mapping[str, Any] | None = None) -> str:
        """Upload a definition and launch it."""
        return self.launch(self.upload(definition), inputs)

    def execution(self, execution: str, wait: str = "0s") -> Any:
        """Get an execution."""
        return self.get(f"/executions/{execution}", wait=wait)

    def wait(self, execution: str, *states: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Wait until an execution is in one of some states, or else has ended.

        Returns:
            The execution.
        """
        deadline = time.monotonic() + seconds
        seen = self.execution(execution)
        while seen["state"] not in (states or _FINAL):
            assert seen["state"] not in _FINAL, f"ended: {seen}"
            assert time.monotonic() < deadline, f"not {states} within {seconds} s: {seen}"
            seen = self.execution(execution, wait="1s")
        return seen

    def cancel(self, execution: str) -> requests.Response:
        """Ask for the end of an execution."""
        return self.send("DELETE", f"/executions/{execution}")

    def pause(self, execution: str) -> requests.Response:
        """Ask for a pause."""
        return self.send("POST", f"/executions/{execution}/pause")

    def resume(self, execution: str) -> requests.Response:
        """Ask for the end of a pause."""
        return self.send("POST", f"/executions/{execution}/resume")

    def tasks(self, execution: str) -> dict[str, Any]:
        """The tasks of an execution, by name."""
        return {task["name"]: task for task in self.get(f"/executions/{execution}/tasks")["tasks"]}

    def page(self, execution: str, start: int = 0, timeout: str = "0", **more: Any) -> Any:
        """Get one page of the log, all levels unless told otherwise."""
        params = {"from": start, "timeout": timeout, "levels": ALL_LEVELS, **more}
        return self.get(f"/executions/{execution}/logs", **params)

    def follow(
        self, execution: str, start: int = 0, seconds: float = PATIENCE_SECONDS
    ) -> list[dict[str, Any]]:
        """Follow the log by long polling until no entry can come any more."""
        deadline = time.monotonic() + seconds
        entries: list[dict[str, Any]] = []
        while True:
            page = self.page(execution, start + len(entries), timeout="5s")
            entries += page["logs"]
            if page["complete"] and start + len(entries) >= page["total_results"]:
                return entries
            assert time.monotonic() < deadline, f"the log does not end: {entries[-3:]}"

    def lines(self, execution: str, task: str) -> list[str]:
        """What the command of a task wrote, without the engine's own remarks."""
        prefix = f"Task '{task}'"
        return [
            entry["content"]
            for entry in self.follow(execution)
            if entry["task"] == task and not entry["content"].startswith(prefix)
        ]

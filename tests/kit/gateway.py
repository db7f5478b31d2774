"""The real service before Alien4Cloud, which is the emulator, with users of several roles."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import requests
from fakes.alien4cloud import Alien4Cloud, Script
from fakes.alien4cloud.world import Environment
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import Service
from kit.thrift import cheap_hasher

FINAL = ("SUCCESS", "FAILED", "CANCELLED")
_ROLES = {
    "ada": ["user"],
    "bob": ["user"],
    "dev": ["user", "developer"],
    "eve": ["user", "developer"],
    "ops": ["operator"],
}


@dataclass
class User:
    """Somebody who calls the API, with a connection for each call."""

    url: str
    name: str

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        auth = (self.name, f"{self.name}'s password")
        return requests.request(
            method, self.url + path, auth=auth, timeout=PATIENCE_SECONDS, **options
        )

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.call("GET", path, **options)

    def cancel(self, execution: str) -> requests.Response:
        return self.call("DELETE", f"/executions/{execution}")

    def try_launch(
        self, workflow: str, inputs: Any = None, *, key: str | None = None, where: str = ""
    ) -> requests.Response:
        headers = {"Idempotency-Key": key} if key else {}
        path = f"/workflows/{workflow}" + (f"?orchestrator={where}" if where else "")
        return self.call("POST", path, json={"inputs": inputs or {}}, headers=headers)

    def launch(self, workflow: str, inputs: Any = None, **options: Any) -> str:
        answer = self.try_launch(workflow, inputs, **options)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"].rpartition("/")[2]

    def execution(self, execution: str) -> dict[str, Any]:
        answer = self.get(f"/executions/{execution}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(self, execution: str, *wanted: str) -> dict[str, Any]:
        """Watch an execution until it is in one of some states."""
        return self.watch(execution, lambda view: view["state"] in wanted)

    def watch(self, execution: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Watch an execution until something holds."""

        def looked() -> dict[str, Any] | None:
            view = self.execution(execution)
            return view if holds(view) else None

        return await_that(looked, "the execution is as expected")  # type: ignore[return-value]

    def page(self, execution: str, query: str = "timeout=0s&levels=15") -> dict[str, Any]:
        answer = self.get(f"/executions/{execution}/logs?{query}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def follow(
        self, execution: str, wait: str = "5s", seconds: float = PATIENCE_SECONDS
    ) -> list[dict[str, Any]]:
        """Follow a log by long poll until it is complete."""
        entries: list[dict[str, Any]] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            page = self.page(execution, f"from={len(entries)}&timeout={wait}&levels=15")
            entries += page["logs"]
            if page["complete"] and len(entries) == page["total_results"]:
                return entries
        raise AssertionError(f"the log is not complete: {entries}")

    def workflows(self) -> dict[str, dict[str, Any]]:
        answer = self.get("/workflows")
        assert answer.status_code == 200, answer.text
        return {w["id"]: w for w in answer.json()["workflows"]}

    def executions(self) -> list[str]:
        return [e["id"] for e in self.get("/executions?page_size=100").json()["executions"]]


@dataclass
class Gateway:
    """A running ``slipway serve`` before some orchestrators."""

    folder: Path
    orchestrators: list[dict[str, Any]]
    more: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        cheap = cheap_hasher()
        users = [
            {"username": name, "password_hash": cheap.hash(f"{name}'s password"), "roles": roles}
            for name, roles in _ROLES.items()
        ]
        config = self.folder / "slipway.yaml"
        auth = {"type": "basic", "users": users}
        config.write_text(
            json.dumps({"api": {"auth": auth}, "orchestrators": self.orchestrators, **self.more})
        )
        arguments = ["--config", config, "--data-dir", self.folder / "data"]
        self._service = Service(self.folder, arguments=arguments)
        try:
            self.url = self._service.start().url
        except BaseException:
            self._service.end()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._service.end()

    def __getattr__(self, name: str) -> User:
        """Return a user by name."""
        if name not in _ROLES:
            raise AttributeError(name)
        return User(self.url, name)


def alien4cloud(server: Alien4Cloud, name: str = "hpc", **more: Any) -> dict[str, Any]:
    """Configure an orchestrator; everything that takes time takes less of it."""
    poll = {"min": "100ms", "max": "400ms", "budget_per_second": 400}
    return {"name": name, "type": "alien4cloud", "url": server.url, "user": "admin",
            "password": "secret", "timeout": "1s", "grace": "3s", "launch_limit": "0s",
            "cache_ttl": "0s", "poll": poll, **more}  # fmt: skip


def simple_place(server: Alien4Cloud, run: Script, name: str = "covid") -> Environment:
    application = server.application(name, tags={"hpcwaas-workflows": "job"})
    return application.environment("prod").workflow("job", script=run)


def assert_each_once(entries: list[dict[str, Any]], lines: list[str]) -> None:
    """Check that lines came once each, and that every entry has the place that it was read at."""
    contents = Counter(entry["content"] for entry in entries)
    assert {line: contents[line] for line in lines} == dict.fromkeys(lines, 1)
    assert [entry["index"] for entry in entries] == list(range(len(entries)))
    assert contents.most_common(1)[0][1] == 1

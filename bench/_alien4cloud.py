"""The emulator of Alien4Cloud, in a process of its own, and a service in front of it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from bench._client import Worker
from bench._service import Service
from tests.fakes.alien4cloud import Alien4Cloud, script
from tests.fakes.alien4cloud.run import Run

WORKFLOW = "exec_job"
_LATENCY_SECONDS = 0.02


class Upstream:
    """The emulator, in a process of its own.

    Args:
        applications: How many applications it has.
    """

    def __init__(self, applications: int = 1) -> None:
        self._worker = Worker(emulate, applications)
        self.url: str = self._worker.receive()

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._worker.send(("stop",))
        self._worker.__exit__()

    def __getattr__(self, command: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._worker.send((command, *arguments))
            return self._worker.receive()

        return call


def emulate(pipe: Pipe, applications: int) -> None:
    """Serve, and do what the pipe says."""
    server = Alien4Cloud(latency=_LATENCY_SECONDS, start_delay=0.05)
    for index in range(applications):
        application = server.application(f"app{index}", tags={"hpcwaas-workflows": WORKFLOW})
        application.environment().workflow(WORKFLOW, script=script.endless())
    commands = _Commands(server)
    with server:
        pipe.send(server.url)
        while (message := pipe.recv())[0] != "stop":
            pipe.send(getattr(commands, message[0])(*message[1:]))


class _Commands:
    """What the emulator does on demand."""

    def __init__(self, server: Alien4Cloud) -> None:
        self._server = server

    def requests(self) -> int:
        """Return the number of requests so far."""
        return self._server.requests.total()

    def by_endpoint(self) -> dict[str, int]:
        """Return the number of requests so far, by endpoint."""
        return dict(self._server.requests)

    def looks(self, seconds: float) -> list[float]:
        """Return the moments of the last seconds at which an execution was looked at."""
        since = time.monotonic() - seconds
        return [at for at, name in self._server.history if name == "get_execution" and at >= since]

    def busiest(self, seconds: float, window: float) -> int:
        """Return the most requests that came within any window of the last seconds."""
        since = time.monotonic() - seconds
        moments = [at for at, _ in self._server.history if at >= since]
        first = most = 0
        for index, at in enumerate(moments):
            while moments[first] <= at - window:
                first += 1
            most = max(most, index - first + 1)
        return most

    def write(self) -> None:
        """Write a line, with a stamp, that is visible at once."""
        run: Run = self._server.runs[0]
        run.log(self._server.now(), f"@{time.monotonic_ns()}")

    def fill(self, lines: int) -> None:
        """Write many lines, which are visible at once."""
        run: Run = self._server.runs[0]
        for number in range(lines):
            run.log(self._server.now(), f"iteration {number}: residual {1 / (number + 1):.9e}")

    def begin(self, number: int) -> list[dict[str, str]]:
        """Begin executions; return what the gateway keeps to find each."""
        world = self._server.world
        environment = next(iter(world.applications["app0"].environments.values()))
        runs = [
            world.launch(environment, environment.workflows[WORKFLOW], {}) for _ in range(number)
        ]
        place = {"application": "app0", "environment": environment.id, "workflow": WORKFLOW}
        return [{**place, "execution": run.id} for run in runs]


@contextmanager
def gateway(
    folder: str,
    upstream: Upstream,
    *,
    processes: int | None = 1,
    env: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """Run a service that launches on an emulator."""
    orchestrator = {"name": "hpc", "type": "alien4cloud", "url": upstream.url, "user": "admin",
                    "password": "secret"}  # fmt: skip
    config = Path(folder) / "slipway.yaml"
    config.write_text(json.dumps({"orchestrators": [orchestrator]}))
    settings = {"SLIPWAY_CONFIG": str(config), **(env or {})}
    with Service(Path(folder), processes=processes, env=settings) as service:
        yield service


@contextmanager
def standing_still(service: Service) -> Iterator[None]:
    """Keep the conductor from asking for anything while the block runs."""
    os.kill(service.conductor, signal.SIGSTOP)
    try:
        time.sleep(0.5)
        yield
    finally:
        os.kill(service.conductor, signal.SIGCONT)

"""Alien4Cloud: what the gateway asks of it, and how soon a follower has what it shows.

The upstream is the emulator of the tests, in a process of its own, which takes 20 ms longer for
every answer; a line is stamped when it becomes visible there. Requests are counted by the emulator.
``poll.min`` and ``poll.max`` are the defaults. The budget is the default too, but for the 500
executions, where it is raised to 100 requests/s so that several rounds fit the time.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from app.store.executions import Executions, Intent
from bench._client import Answer, Worker, follow_logs
from bench._report import Figure, median
from bench._seed import OWNER, open_store
from bench._service import Service
from tests.fakes.alien4cloud import Alien4Cloud, script
from tests.fakes.alien4cloud.run import Run

_LATENCY_SECONDS = 0.02
_WORKFLOW = "exec_job"
_INTERVAL_MS = 500
_EXTRA_MS = 150
_TOLERANCE = 1.05
_FEW = 10
_BUDGET = 100
_WINDOW_SECONDS = 5
_CALM_SECONDS = 6
_STAMP = re.compile(rb"@(\d+)")


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    yield from _followers(20 if quick else 1_000, lines=5 if quick else 12)
    yield from _list(200)
    yield from _many(100 if quick else 500, seconds=5 if quick else 10)


class _Upstream:
    """The emulator, in a process of its own.

    Args:
        applications: How many applications it has.
    """

    def __init__(self, applications: int = 1) -> None:
        self._worker = Worker(emulate, applications)
        self.url: str = self._worker.receive()

    def __enter__(self) -> _Upstream:
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
    server = Alien4Cloud(latency=_LATENCY_SECONDS)
    for index in range(applications):
        application = server.application(f"app{index}", tags={"hpcwaas-workflows": _WORKFLOW})
        application.environment().workflow(_WORKFLOW, script=script.endless())
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
        """Give the number of requests so far."""
        return self._server.requests.total()

    def looks(self, seconds: float) -> list[float]:
        """Give the moments of the last seconds at which an execution was looked at."""
        since = time.monotonic() - seconds
        return [at for at, name in self._server.history if name == "get_execution" and at >= since]

    def busiest(self, seconds: float, window: float) -> int:
        """Give the most requests that came within any window of the last seconds."""
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
        run: Run = self._server.runs[-1]
        run.log(self._server.now(), f"@{time.monotonic_ns()} residual 1.234567e-05")

    def begin(self, number: int) -> list[dict[str, str]]:
        """Begin executions; give what the gateway keeps to find each."""
        world = self._server.world
        environment = next(iter(world.applications["app0"].environments.values()))
        runs = [
            world.launch(environment, environment.workflows[_WORKFLOW], {}) for _ in range(number)
        ]
        place = {"application": "app0", "environment": environment.id, "workflow": _WORKFLOW}
        return [{**place, "execution": run.id} for run in runs]


@contextmanager
def _service(folder: str, upstream: _Upstream, poll: Mapping[str, Any]) -> Iterator[Service]:
    orchestrator = {"name": "hpc", "type": "alien4cloud", "url": upstream.url, "user": "admin",
                    "password": "secret", "poll": dict(poll)}  # fmt: skip
    config = Path(folder) / "slipway.yaml"
    config.write_text(json.dumps({"orchestrators": [orchestrator]}))
    with Service(Path(folder), env={"SLIPWAY_CONFIG": str(config)}) as service:
        yield service


def _followers(clients: int, lines: int) -> Iterator[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        _Upstream() as upstream,
        _service(folder, upstream, {}) as service,
    ):
        execution = service.launch(_WORKFLOW)
        service.call("GET", f"/executions/{execution}/logs?from=1&timeout=30s")
        time.sleep(_CALM_SECONDS)  # just after something has happened it is asked for more
        rates = {}
        for number in (1, clients):
            with _following(service, execution, number):
                service.settle()
                rates[number] = _rate(upstream, 3)
        calls = _calls_of_readers(service, upstream, execution)
        yield from _lines(service, upstream, execution, lines)
    name = "one active execution"
    yield Figure(
        f"{name}: upstream requests/s, {clients:,} followers", rates[clients], "/s",
        ratio=rates[clients] / rates[1], beside="one follower", least_ratio=0.9, most_ratio=1.1,
    )  # fmt: skip
    yield Figure("upstream calls of 200 GET /executions/<id> and 200 log pages", calls, most=0)


@contextmanager
def _following(service: Service, execution: str, clients: int) -> Iterator[Worker]:
    path = f"/executions/{execution}/logs"
    start = service.call("GET", f"{path}?size=0&timeout=0s")[0]["total_results"]
    paths = [f"{path}?from={{}}&timeout=9m"] * clients
    with Worker(follow_logs, service.port, paths, start) as worker:
        worker.receive()
        yield worker


def _rate(upstream: _Upstream, seconds: float) -> float:
    before, begun = upstream.requests(), time.monotonic()
    time.sleep(seconds)
    return float((upstream.requests() - before) / (time.monotonic() - begun))


def _lines(service: Service, upstream: _Upstream, execution: str, lines: int) -> Iterator[Figure]:
    """Have lines written at odd moments, for a few who follow."""
    with _following(service, execution, _FEW) as worker:
        time.sleep(1)
        begun = time.monotonic()
        for _ in range(lines):
            upstream.write()
            time.sleep(random.uniform(0.5, 1.0))
        time.sleep(1.5)
        looks = upstream.looks(time.monotonic() - begun)
        worker.send("stop")
        took = _deliveries(worker.receive())
    periods = [1000 * (after - before) for before, after in pairwise(looks)]
    yield Figure(
        "one active execution: interval while followed, p50", median(periods), "ms",
        most=_INTERVAL_MS * _TOLERANCE, note=f"longest {max(periods):.0f} ms",
    )  # fmt: skip
    name = f"a line on Alien4Cloud reaches {_FEW} followers"
    yield Figure(
        f"{name}: longest", max(took), "ms", most=_INTERVAL_MS + _EXTRA_MS,
        note=f"p50 {median(took):.0f} ms; {lines} lines at random moments",
    )  # fmt: skip
    due = lines * _FEW
    yield Figure(f"{name}: deliveries missing", due - len(took), f"of {due}", most=0)


def _deliveries(answers: list[Answer]) -> list[float]:
    """Give the ms from each stamped line to the answer that held it."""
    return [
        (answer.done_ns - int(stamp)) / 1e6
        for answer in answers
        for stamp in _STAMP.findall(answer.body)
    ]


def _calls_of_readers(service: Service, upstream: _Upstream, execution: str) -> int:
    """Count the calls that readers cause, while the conductor of the execution stands still."""
    os.kill(service.conductor, signal.SIGSTOP)
    try:
        time.sleep(0.5)
        before: int = upstream.requests()
        for _ in range(200):
            service.call("GET", f"/executions/{execution}")
            service.call("GET", f"/executions/{execution}/logs?size=10&timeout=0s")
        return int(upstream.requests()) - before
    finally:
        os.kill(service.conductor, signal.SIGCONT)


def _list(applications: int) -> Iterator[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        _Upstream(applications) as upstream,
        _service(folder, upstream, {}) as service,
    ):
        before = upstream.requests()
        cold, found = _timed_list(service)
        calls = upstream.requests() - before
        warm = [_timed_list(service)[0] for _ in range(50)]
        again = upstream.requests() - before - calls
    assert found == applications
    name = f"GET /workflows, {applications} applications"
    yield Figure(f"{name}: cold", cold, "s", most=1, note=f"{calls} upstream calls")
    yield Figure(
        f"{name}: warm, p50", median(warm) * 1000, "ms", most=20,
        note=f"{again} upstream calls, the longest {max(warm) * 1000:.0f} ms",
    )  # fmt: skip


def _timed_list(service: Service) -> tuple[float, int]:
    begun = time.monotonic()
    body, _ = service.call("GET", "/workflows")
    return time.monotonic() - begun, len(body["workflows"])


def _many(number: int, seconds: float) -> Iterator[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        _Upstream() as upstream,
    ):
        _write_down(folder, upstream.begin(number))
        with _service(folder, upstream, {"budget_per_second": _BUDGET}) as service:
            begun = time.monotonic()
            _await_all_seen(service, number)
            took = time.monotonic() - begun
            ages = []
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                ages.append(_oldest_seconds(service, number))
                time.sleep(0.5)
            most = upstream.busiest(seconds + took, _WINDOW_SECONDS) / _WINDOW_SECONDS
            second = upstream.busiest(seconds + took, 1.0)
            looks = len(upstream.looks(seconds))
    name = f"{number} active executions, {_BUDGET} requests/s"
    round_seconds = 2 * number / _BUDGET
    yield Figure(
        f"{name}: in the busiest {_WINDOW_SECONDS} s", most, "/s", most=_BUDGET * _TOLERANCE,
        note=f"in the busiest second {second}; {looks / seconds:.0f} looks/s",
    )  # fmt: skip
    yield Figure(
        f"{name}: oldest status", max(ages), "s", most=2.5 * round_seconds + 5,
        ratio=max(ages) / round_seconds, beside="a round of the budget",
        note=f"all were seen after {took:.1f} s; an unchanged status is stored every 5 s",
    )  # fmt: skip


def _write_down(folder: str, references: list[dict[str, str]]) -> None:
    """Store executions as launches would leave them."""
    database = open_store(f"sqlite:///{folder}/slipway.db")
    store = Executions(database)
    for reference in references:
        intent = Intent(
            execution_id=reference["execution"], orchestrator="hpc",
            workflow_id=f"app0@{reference['environment']}@{_WORKFLOW}",
            workflow_name=_WORKFLOW, owner=OWNER, inputs={},
        )  # fmt: skip
        store.launched(store.create(intent)[0], reference)
    database.dispose()


def _await_all_seen(service: Service, number: int) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        statuses = Counter(view["status"] for view in _views(service, number))
        if statuses == {"RUNNING": number}:
            return
        time.sleep(0.2)
    raise RuntimeError(f"not all executions were seen: {statuses}")


def _oldest_seconds(service: Service, number: int) -> float:
    oldest = min(datetime.fromisoformat(view["as_of"]) for view in _views(service, number))
    return (datetime.now(UTC) - oldest).total_seconds()


def _views(service: Service, number: int) -> list[dict[str, Any]]:
    pages = [
        service.call("GET", f"/executions?page_size=100&page={page}")[0]["executions"]
        for page in range(1, -(-number // 100) + 1)
    ]
    return [view for page in pages for view in page]

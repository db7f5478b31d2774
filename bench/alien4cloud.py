"""Alien4Cloud: what the gateway asks of it, and how soon a follower has what it shows.

The upstream is the emulator of the tests, in a process of its own, which takes 20 ms longer for
every answer; a line is stamped when it becomes visible there. Requests are counted by the emulator.
``poll`` is the default: every 500 ms while somebody follows, and 20 requests/s at most. A few
followers use long polls; a crowd uses server-sent events, since a thousand polls that ask again
after each line are a load of their own, which ``bench.follow`` measures.
"""

from __future__ import annotations

import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from app.store.launches import Intent, Launches
from bench._alien4cloud import WORKFLOW, Upstream, gateway, standing_still
from bench._client import Answer, Worker, follow_logs
from bench._report import Figure, median, percentile
from bench._seed import OWNER, open_store
from bench._service import Service
from bench.streams import follow_events

_INTERVAL_MS = 500
_EXTRA_MS = 150
_TOLERANCE = 1.05
_FEW = 10
_BUDGET = 20
_WINDOW_SECONDS = 5
_ROUNDS = 1.5
_STORED_SECONDS = 5
_CALM_SECONDS = 6
_RATE_SECONDS = 10
_STAMP = re.compile(rb"@(\d+)")


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    yield from _followers(200 if quick else 1_000, lines=5 if quick else 20)
    yield from _list(200)
    yield from _many(100 if quick else 500)


def _followers(clients: int, lines: int) -> Iterator[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        Upstream() as upstream,
        gateway(folder, upstream) as service,
    ):
        execution = service.launch(WORKFLOW)
        service.call("GET", f"/executions/{execution}/logs?from=1&timeout=30s")
        time.sleep(_CALM_SECONDS)  # just after something has happened it is asked for more
        with _following(service, execution, 1):
            service.settle()
            alone = _rate(upstream, _RATE_SECONDS)
        with Worker(follow_events, service.port, execution, clients) as crowd:
            crowd.receive()
            service.settle()
            together = _rate(upstream, _RATE_SECONDS)
            _write(upstream, lines)
            crowd.send("stop")
            took, _ = crowd.receive()
        yield from _delivered(f"{clients:,} followers over SSE", took, lines * clients)
        with _following(service, execution, _FEW) as few:
            service.settle()
            looks = _write(upstream, lines)
            few.send("stop")
            took = _deliveries(few.receive())
        yield from _delivered(f"{_FEW} polls", took, lines * _FEW)
        yield from _intervals(looks)
        calls = _calls_of_readers(service, upstream, execution)
    yield Figure(
        f"one active execution: upstream requests/s, {clients:,} followers", together, "/s",
        ratio=together / alone, beside="one follower", least_ratio=0.9, most_ratio=1.1,
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


def _rate(upstream: Upstream, seconds: float) -> float:
    before, begun = upstream.requests(), time.monotonic()
    time.sleep(seconds)
    return float((upstream.requests() - before) / (time.monotonic() - begun))


def _write(upstream: Upstream, lines: int) -> list[float]:
    """Have lines written at odd moments; return when the execution was looked at meanwhile."""
    begun = time.monotonic()
    for _ in range(lines):
        upstream.write()
        time.sleep(random.uniform(0.5, 1.0))
    time.sleep(1.5)
    looks: list[float] = upstream.looks(time.monotonic() - begun)
    return looks


def _intervals(looks: list[float]) -> Iterator[Figure]:
    periods = [1000 * (after - before) for before, after in pairwise(looks)]
    yield Figure(
        "one active execution: interval while followed, p50", median(periods), "ms",
        most=_INTERVAL_MS,
        note=f"from the start of a look to that of the next; p95 {percentile(periods, 95):.0f} ms, "
        f"longest {max(periods):.0f} ms",
    )  # fmt: skip


def _delivered(who: str, took: list[float], due: int) -> Iterator[Figure]:
    name = f"a line on Alien4Cloud reaches {who}"
    most = _INTERVAL_MS + _EXTRA_MS
    yield Figure(f"{name}: p50", percentile(took, 50), "ms")
    yield Figure(f"{name}: p95", percentile(took, 95), "ms", most=most)
    yield Figure(f"{name}: longest", max(took), "ms", most=most)
    yield Figure(f"{name}: deliveries missing", due - len(took), f"of {due:,}", most=0)


def _deliveries(answers: list[Answer]) -> list[float]:
    """Return the ms from each stamped line to the answer that held it."""
    return [
        (answer.done_ns - int(stamp)) / 1e6
        for answer in answers
        for stamp in _STAMP.findall(answer.body)
    ]


def _calls_of_readers(service: Service, upstream: Upstream, execution: str) -> int:
    """Count the calls that readers cause."""
    with standing_still(service):
        before: int = upstream.requests()
        for _ in range(200):
            service.call("GET", f"/executions/{execution}")
            service.call("GET", f"/executions/{execution}/logs?size=10&timeout=0s")
        return int(upstream.requests()) - before


def _list(applications: int) -> Iterator[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        Upstream(applications) as upstream,
        gateway(folder, upstream) as service,
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


def _many(number: int) -> Iterator[Figure]:
    """Watch many, of which somebody follows one, with the budget that is the default."""
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        Upstream() as upstream,
    ):
        references = upstream.begin(number)
        _write_down(folder, references)
        with gateway(folder, upstream) as service:
            begun = time.monotonic()
            _await_all_seen(service, number)
            first_round = time.monotonic() - begun
            _ages(service, number, 2 * number / _BUDGET)  # the first looks take more requests
            followed = references[0]["execution"]
            with _following(service, followed, 1) as worker:
                watched, requests = time.monotonic(), upstream.requests()
                ages = _ages(service, number, 3 * number / _BUDGET, upstream.write)
                worker.send("stop")
                took = _deliveries(worker.receive())
            seconds = time.monotonic() - watched
            per_look = (upstream.requests() - requests) / len(upstream.looks(seconds))
            lasted = time.monotonic() - begun
            most = upstream.busiest(lasted, _WINDOW_SECONDS) / _WINDOW_SECONDS
            second = upstream.busiest(lasted, 1.0)
    name = f"{number} active executions, {_BUDGET} requests/s"
    round_seconds = per_look * number / _BUDGET
    yield Figure(
        f"{name}: in the busiest {_WINDOW_SECONDS} s", most, "/s", most=_BUDGET * _TOLERANCE,
        note=f"in the busiest second {second}; {per_look:.1f} requests for each look",
    )  # fmt: skip
    yield Figure(
        f"{name}: oldest status", max(ages), "s", most=_ROUNDS * round_seconds + _STORED_SECONDS,
        ratio=max(ages) / round_seconds, beside="a round of the budget",
        note=f"p50 of the oldest {median(ages):.1f} s; all were seen after {first_round:.1f} s; "
        f"an unchanged status is stored every {_STORED_SECONDS} s",
    )  # fmt: skip
    yield Figure(
        f"{name}: a line reaches the follower of one, p50", median(took), "ms",
        most=_INTERVAL_MS + _EXTRA_MS, note=f"longest {max(took):.0f} ms; {len(took)} lines",
    )  # fmt: skip


def _ages(
    service: Service, number: int, seconds: float, each: Callable[[], object] = lambda: None
) -> list[float]:
    """Note the age of the oldest status for some time, about every second."""
    ages = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        each()
        ages.append(_oldest_seconds(service, number))
        time.sleep(random.uniform(0.7, 1.2))
    return ages


def _write_down(folder: str, references: list[dict[str, str]]) -> None:
    """Store executions as launches would leave them."""
    database = open_store(f"sqlite:///{folder}/slipway.db")
    launches = Launches(database)
    for reference in references:
        intent = Intent(
            execution_id=reference["execution"], orchestrator="hpc",
            workflow_id=f"app0@{reference['environment']}@{WORKFLOW}",
            workflow_name=WORKFLOW, owner=OWNER, inputs={},
        )  # fmt: skip
        launches.launched(launches.create(intent)[0], reference)
    database.dispose()


def _await_all_seen(service: Service, number: int) -> None:
    deadline = time.monotonic() + 20 + 6 * number / _BUDGET
    while time.monotonic() < deadline:
        statuses = Counter(view["status"] for view in _views(service, number))
        if statuses == {"RUNNING": number}:
            return
        time.sleep(1)
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

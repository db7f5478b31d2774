"""Virtual users: one worker process of a slave against a target in a process of its own.

The worker gets what a slave's parent would write to it, and its requests are counted by the target
too. Requests for each second of *its processor time* are what can be compared between machines, and
stand beside a bare loop of sockets and the same parser. The merging is what is done each second
with the reports of fifty slaves: they are checked when they come, and added up for all to see.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from app.load.definition import Definition, HttpConfig, Mode, Options, Step
from app.load.histogram import Histogram, quantile, quantiles
from app.load.measures import Report, empty, merge, read_report
from bench._report import Figure, percentile
from bench._service import cpu_seconds, rss_bytes
from tests.fakes.load_target import Answer, LoadTarget, LogNormal
from tests.kit.load_worker import LoadWorker

_SLAVES, _STEPS, _SEEN = 50, 20, 3000


def run(*, quick: bool) -> Iterator[Figure]:
    """Take the figures of virtual users."""
    seconds = 2.0 if quick else 8.0
    yield from _speed(10, 12_000, seconds)
    yield from _speed(100, 9_500, seconds)
    yield _memory(1000)
    yield _honesty(seconds)
    yield from _merging(1 if quick else 5)


def _worker(url: str, vus: int) -> LoadWorker:
    """Make a worker whose virtual users ask for something until they are stopped."""
    options = Options(Mode.CONSTANT_VUS, vus=vus)
    return LoadWorker(Definition("bench", "bench", (Step("get", "get", HttpConfig(url)),), options))


def _has(vus: int) -> Callable[[Report], bool]:
    """Make what asks whether so many virtual users have ended an iteration."""
    return lambda report: report["vus"] >= vus and report["iterations"] >= vus


def _stopped(worker: LoadWorker) -> Report:
    worker.want(stop="gently")
    return worker.ended()


def _speed(vus: int, least: float, seconds: float) -> Iterator[Figure]:
    with LoadTarget(heads=False) as target:
        url = f"{target.url}/nothing"
        bare = _bare(url, vus, seconds)
        target.forget()
        with _worker(url, vus) as worker:
            worker.until(_has(vus))
            begun, used = target.now().requests, cpu_seconds([worker.pid])
            time.sleep(seconds)
            asked, spent = target.now().requests - begun, cpu_seconds([worker.pid]) - used
            counted = _stopped(worker)["requests"]["n"]
            missing = target.now().requests - counted
    name = f"{vus} virtual users, no work, kept connections"
    yield Figure(
        f"{name}: requests", asked / spent, "/CPU-s", least=least, ratio=asked / spent / bare,
        beside="bare loop", note=f"{asked / seconds:,.0f}/s by the clock",
    )  # fmt: skip
    yield Figure(f"{name}: requests that are not counted", missing, "", most=0)


def _bare(url: str, vus: int, seconds: float) -> float:
    said = subprocess.run(
        [sys.executable, "-m", "bench._bare_load", url, str(vus), str(seconds)],
        capture_output=True, check=True, text=True,
    ).stdout.split()  # fmt: skip
    return int(said[0]) / float(said[1])


def _memory(vus: int) -> Figure:
    with LoadTarget(heads=False) as target:
        target.answer("/slow", Answer(delay=1.0))
        with _worker(f"{target.url}/slow", 1) as worker:
            worker.until(_has(1))
            alone = rss_bytes([worker.pid])
            worker.want(scaled=vus)
            worker.until(_has(vus))
            time.sleep(2.0)
            each = (rss_bytes([worker.pid]) - alone) / vus / 1000
    return Figure(
        f"{vus:,} virtual users, each with a connection: memory of each", each, "kB", most=20,
        note=f"the process has {alone / 1e6:.0f} MB with one",
    )  # fmt: skip


def _honesty(seconds: float) -> Figure:
    with LoadTarget(heads=False) as target:
        target.answer("/rand", Answer(delay=LogNormal()))
        with _worker(f"{target.url}/rand", 20) as worker:
            time.sleep(seconds)
            report = _stopped(worker)
            lag_ms = worker.lag_ms
        true = percentile([seen.seconds * 1000 for seen in target.requests("/rand")], 95)
    ours = quantile(report["requests"], 0.95) / 1000
    return Figure(
        "20 virtual users, delays of 20 ms lognormal: p95", ours, "ms", ratio=ours / true,
        beside="the target's own", most_ratio=1.02, least_ratio=0.98,
        note=f"of {report['requests']['n']:,}; greenlets were late by {lag_ms:.1f} ms at most",
    )  # fmt: skip


def _merging(rounds: int) -> Iterator[Figure]:
    texts = [orjson.dumps(_report()) for _ in range(_SLAVES)]
    begun = time.process_time()
    for _ in range(rounds):
        for text in texts:
            read_report(orjson.loads(text))
    checked = time.process_time()
    for _ in range(rounds):
        whole = merge(map(orjson.loads, texts))
        for step in whole["steps"].values():
            quantiles(step["duration"], [0.5, 0.9, 0.95, 0.99])
    merged = time.process_time()
    name = f"reports of {_SLAVES} slaves with {_STEPS} steps, each second"
    yield Figure(
        f"{name}: read and checked, as a web process does", (checked - begun) / rounds * 100,
        "% of a core", note=f"{sum(map(len, texts)) / 1e6:.1f} MB of JSON",
    )  # fmt: skip
    yield Figure(
        f"{name}: merged, as a conductor does", (merged - checked) / rounds * 100, "% of a core",
        most=15,
    )  # fmt: skip


def _report() -> Report:
    steps: dict[str, Any] = {}
    for number in range(_STEPS):
        durations = Histogram()
        for _ in range(_SEEN):
            durations.add(round(random.lognormvariate(9.9, 0.5)))
        steps[f"step{number}"] = {
            "count": _SEEN, "success": _SEEN, "failure": 0, "duration": durations.counts(),
        }  # fmt: skip
    return {**empty(), "steps": steps}

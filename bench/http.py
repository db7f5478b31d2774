"""Plain requests: how many a second, and whether heavy work holds them up.

*Throughput*, on SQLite and on PostgreSQL, is that of ``wrk`` (one thread, 64 keep-alive
connections) against one web process, in requests a second. The peer is a Flask view on the same
gevent server that gives a ready answer of the same size; it is measured before and after, and the
mean of the two counts. That is done on an idle machine, and beside two loops that take a core each.

*Latency* is that of ``GET /health`` asked 100 times a second while RSA-4096 keys are made without a
pause, in ms, counted from when each request was due; beside it the same without the keys.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.store.driving import DrivenExecutions
from bench import _postgresql
from bench._client import Worker, probe
from bench._peers import Peer
from bench._report import Figure, percentile
from bench._seed import OWNER, batches, make_executions, observation, open_store
from bench._service import Service
from bench._target import Target
from bench._wrk import CONNECTIONS, MISSING, is_here, load

_PROBES_PER_SECOND = 100


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    seconds = 1 if quick else 4
    with _service(None) as (service, view):
        yield from _both(service, view, "", seconds)
        yield from _beside_keys(service, 2 if quick else 12)
    programs = _postgresql.programs()
    if programs is None:
        yield Figure("GET /executions/<id> on PostgreSQL", None, note="it is not installed")
        return
    with _postgresql.server(programs) as url, _service(url) as (service, view):
        yield from _both(service, view, " on PostgreSQL", seconds)


@contextmanager
def _service(url: str | None) -> Iterator[tuple[Service, str]]:
    """Run a service over one execution with 10,000 log entries; gives the address of that, too."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name:
        folder = Path(name)
        database = open_store(url or f"sqlite:///{folder / 'slipway.db'}")
        execution = make_executions(database, 1)[0]
        for batch in batches(10_000, 1_000):
            execution = DrivenExecutions(database).record(execution, OWNER, observation(batch))
        database.dispose()
        env = {} if url is None else {"SLIPWAY_DATABASE__URL": url}
        with Service(folder, env=env) as service:
            yield service, f"/executions/{execution.id}"


def _both(service: Service, view: str, where: str, seconds: int) -> Iterator[Figure]:
    page = f"{view}/logs?from=5000&size=100"
    yield _throughput(service, f"GET /executions/<id>{where}", view, seconds, 0.75)
    yield _throughput(service, f"page of 100 log entries{where}", page, seconds, 0.5)
    with _busy_loops(2):
        name = f"GET /executions/<id>{where}, beside two busy loops"
        yield _throughput(service, name, view, seconds, 0.75)


def _throughput(service: Service, name: str, path: str, seconds: int, least_ratio: float) -> Figure:
    title = f"{name}, {CONNECTIONS} connections"
    if not is_here():
        return Figure(title, None, note=MISSING)
    size = int(service.call("GET", path)[1]["Content-Length"])
    mine = Target(service.port, path)
    with Peer("flask", size) as peer:
        theirs = Target(peer.port, "/executions/x")
        load(theirs, 1)
        bare = load(theirs, seconds).rate
        load(mine, 1)
        ours = load(mine, seconds)
        bare = (bare + load(theirs, seconds).rate) / 2
    return Figure(
        title, ours.rate, "/s", ratio=ours.rate / bare, beside="bare Flask view",
        least_ratio=least_ratio,
        note=f"p99 {ours.p99_ms:.3g} ms; {size:,} bytes; the bare view {bare:,.0f}/s",
    )  # fmt: skip


@contextmanager
def _busy_loops(number: int) -> Iterator[None]:
    """Keep so many cores busy with something else while the block runs."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _beside_keys(service: Service, seconds: float) -> Iterator[Figure]:
    _probe(service, 0.5)
    quiet = _probe(service, seconds)
    with _making_keys(service) as made:
        loaded = _probe(service, seconds)
    yield Figure(
        "GET /health, p99 while RSA-4096 keys are made", percentile(loaded, 99), "ms",
        ratio=percentile(loaded, 99) / percentile(quiet, 99), beside="without",
        note=f"{len(made)} keys in {seconds:g} s; longest answer {max(loaded):.3g} ms, "
        f"without keys p99 {percentile(quiet, 99):.3g}, longest {max(quiet):.3g}",
    )  # fmt: skip


def _probe(service: Service, seconds: float) -> list[float]:
    with Worker(probe, service.port, "/health", _PROBES_PER_SECOND, seconds) as worker:
        took: list[float] = worker.receive(seconds + 60)
        return took


@contextmanager
def _making_keys(service: Service) -> Iterator[list[float]]:
    """Ask for keys, two at a time, while the block runs; gives the moments when they were made."""
    made: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            service.call("POST", "/ssh_keys", {"algorithm": "rsa-4096"})
            made.append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        done.set()
        for thread in threads:
            thread.join()

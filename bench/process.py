"""The processes of ``slipway serve``, idle and used: their memory, and how soon they are ready.

Memory is the sum of the PSS (``/proc/PID/smaps_rollup``: what is shared counts in parts) of the
supervisor and all that descends from it, helper processes included, on the defaults: the number of
web processes, too. Commands and their shims belong to nobody and end; they are not counted.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

from bench._report import Figure, median
from bench._service import Service

_MB = 1e6
_MOST_IDLE_MB = 120
_MOST_LOADED_MB = 150
_MOST_START_RATIO = 3
_SETTLE_SECONDS = 8.0
"""Longer than a template is kept after the last fork."""
_USERS = 4
_PAUSE_SECONDS = 0.2
"""Between the rounds of each user: the load is modest, as its memory is looked at."""
_LIBRARIES = (
    "argon2, click, flask, flask_smorest, gevent, httptools, jinja2, marshmallow, orjson, "
    "prometheus_client, sqlalchemy, structlog, yaml"
)
_DEFINITION = """\
id: load
inputs: {lines: {type: integer, default: 20}}
steps:
  - {id: split, type: script, config: {script: 'seq "$INPUT_LINES"'}}
  - {id: left, type: command, needs: [split], config: {command: echo, args: [left]}}
  - {id: right, type: command, needs: [split], config: {command: echo, args: [right]}}
  - {id: join, type: command, needs: [left, right], config: {command: echo, args: [joined]}}
"""


def run(*, quick: bool, minutes: float | None = None) -> Iterator[Figure]:
    """Measure.

    Args:
        quick: Take fewer starts, and a shorter load.
        minutes: How long the load lasts.
    """
    minutes = minutes or (0.2 if quick else 2.0)
    yield _start(3 if quick else 7)
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        workflows = Path(folder) / "workflows"
        workflows.mkdir()
        with Service(Path(folder), processes=None) as service:
            time.sleep(_SETTLE_SECONDS)
            idle = service.pss()
            yield Figure(
                "memory of an idle service", sum(idle.values()) / _MB, "MB",
                most=_MOST_IDLE_MB, note=_parts(idle, service),
            )  # fmt: skip
            (workflows / "load.yaml").write_text(_DEFINITION, encoding="utf-8")
            rounds = _load(service, minutes * 60)
            service.settle()
            time.sleep(_SETTLE_SECONDS)
            used = service.pss()
            yield Figure(
                f"memory after {minutes:g} minutes of load", sum(used.values()) / _MB, "MB",
                most=_MOST_LOADED_MB, note=f"{rounds:,} rounds; {_parts(used, service)}",
            )  # fmt: skip


def _parts(memory: dict[str, int], service: Service) -> str:
    named = ", ".join(f"{role} {size / _MB:.0f}" for role, size in memory.items())
    return f"{len(service.web)} web processes: {named}"


def _start(times: int) -> Figure:
    """Start until ready, in turns with a program that imports the libraries and ends."""
    starts, imports = [], []
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-P", "-c", f"import {_LIBRARIES}"], check=True)
        imports.append(time.perf_counter() - begun)
        with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
            begun = time.perf_counter()
            with Service(Path(folder), processes=None):
                starts.append(time.perf_counter() - begun)
    ratio = median(starts) / median(imports)
    return Figure(
        "slipway serve: start until ready", median(starts), "s", ratio=ratio,
        beside="importing its libraries", most_ratio=_MOST_START_RATIO,
        note=f"median of {times}; the import alone {median(imports):.3g} s",
    )  # fmt: skip


def _load(service: Service, seconds: float) -> int:
    """Let a few users do all that users do, again and again; return how many rounds there were."""
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(_USERS) as pool:
        return sum(pool.map(lambda user: _use(service, user, end), range(_USERS)))


def _use(service: Service, user: int, end: float) -> int:
    for number in itertools.count():
        if time.monotonic() >= end:
            return number
        execution = service.launch("load", {"lines": 20 + number % 200})
        _follow(service, execution)
        for path in (
            "/workflows", "/workflows/load", "/executions?page_size=50", f"/executions/{execution}",
            f"/executions/{execution}/logs?from=5&size=20&levels=15",
            f"/executions/{execution}/tasks", "/ready", "/metrics",
        ):  # fmt: skip
            service.call("GET", path)
        if number % 20 == user:
            _make_and_delete_key(service)
        time.sleep(_PAUSE_SECONDS)
    raise AssertionError("it counts for ever")


def _follow(service: Service, execution: str) -> None:
    """Read the log as an event stream, up to the end of the execution."""
    connection = HTTPConnection("127.0.0.1", service.port, timeout=120)
    try:
        headers = {"Accept": "text/event-stream"}
        connection.request("GET", f"/executions/{execution}/logs?levels=15", headers=headers)
        connection.getresponse().read()
    finally:
        connection.close()


def _make_and_delete_key(service: Service) -> None:
    key, _ = service.call("POST", "/ssh_keys", {"metadata": {"purpose": "load"}})
    service.call("DELETE", f"/ssh_keys/{key['id']}")

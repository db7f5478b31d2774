"""Following logs: from the moment when a command writes a line until a client has read it.

A command stamps each line with CLOCK_MONOTONIC just before it writes it; the client notes the same
clock when the last byte of an answer is read; *delivery* is the difference, in ms. *Last answer* is
the delivery to the last of all who wait, or the time to it from the signal on. *RSS* is what the
resident memory of the web processes grew by, shared among the clients; *idle* is the processor time
of the web processes while nothing happens, as a share of one core.

Where a thousand executions are needed, a feeder writes to the store as the conductor does
(``DrivenExecutions.record``), since a thousand commands would not fit the machine; there the stamp
is taken before the entry is stored.
"""

from __future__ import annotations

import os
import random
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import IO, Self

from app.domain import DrivenExecution, Level, NewLogEntry
from app.store.database import Database
from app.store.driving import DrivenExecutions
from bench._client import (
    Answer,
    Followed,
    Worker,
    follow_logs,
    follow_to_the_end,
    hold_polls,
    raise_descriptor_limit,
)
from bench._peers import Peer
from bench._report import Figure, median, percentile
from bench._seed import OWNER, make_executions, observation, open_store
from bench._service import Service, cpu_share, memory_of, rss_bytes

_STAMP = re.compile(rb"@(\d+)")
_LOGS = "/executions/{}/logs?from={{}}&timeout=9m"
_SPARE_DESCRIPTORS = 200
_FLAT_MIB = 64

TELL = """
id: tell
inputs: {fifo: {type: string}}
steps:
  - {id: tell, type: command, config: {command: python3, args: [tell.py, "${{ inputs.fifo }}"]}}
files:
  tell.py: |
    import sys, time
    for _ in open(sys.argv[1]):
        print(f"@{time.monotonic_ns()} residual 1.234567e-05", flush=True)
"""

_FLOOD = """
id: flood
inputs: {lines: {type: integer}, per_second: {type: integer}}
steps:
  - id: flood
    type: command
    config: {command: python3, args: [flood.py, "${{ inputs.lines }}", "${{ inputs.per_second }}"]}
files:
  flood.py: |
    import sys, time
    lines, per_second = int(sys.argv[1]), int(sys.argv[2])
    begun, done = time.monotonic(), 0
    while done < lines:
        due = min(lines, int((time.monotonic() - begun) * per_second))
        sys.stdout.writelines(f"{i} residual 1.234567e-05\\n" for i in range(done, due))
        sys.stdout.flush()
        done = max(done, due)
        time.sleep(0.005)
"""


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    yield from _few(quick=quick)
    yield from _crowd(1_000, processes=1, quick=quick)
    most = min(10_000, raise_descriptor_limit() - _SPARE_DESCRIPTORS)
    crowd = most // 5 if quick else most
    yield from _crowd(crowd, processes=2, quick=quick)
    yield from _spread(crowd, crowd // 10, seconds=4 if quick else 15)
    yield from _flood(300_000 if quick else 1_000_000)


class Teller:
    """A running command that writes a line when it is told to.

    Attributes:
        execution: Id of its execution.
        written: Number of lines that are stored already.
    """

    def __init__(self, service: Service) -> None:
        fifo = service.folder / "fifo"
        os.mkfifo(fifo)
        self.execution = service.launch("tell", {"fifo": str(fifo)})
        self._end: IO[str] = fifo.open("w", buffering=1)
        self._end.write("\n")
        # Its first lines are the engine's remarks and the answer to our own.
        service.call("GET", f"/executions/{self.execution}/logs?from=2&timeout=30s")
        service.settle()
        path = f"/executions/{self.execution}/logs?size=0&timeout=0"
        self.written: int = service.call("GET", path)[0]["total_results"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end.close()  # with it the command ends

    def tell(self) -> None:
        """Have a line written."""
        self._end.write("\n")


@contextmanager
def serving(
    definition: str, processes: int, env: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Have a service run that offers one workflow."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        workflows = Path(folder) / "workflows"
        workflows.mkdir()
        (workflows / "bench.yaml").write_text(definition)
        with Service(Path(folder), processes=processes, env=env) as service:
            yield service


def _few(*, quick: bool) -> Iterator[Figure]:
    clients, lines = 100, 8 if quick else 60
    with serving(TELL, 1) as service, Teller(service) as teller:
        paths = [_LOGS.format(teller.execution)] * clients
        with Worker(follow_logs, service.port, paths, teller.written) as worker:
            worker.receive()
            service.settle()
            for _ in range(lines):
                teller.tell()
                time.sleep(random.uniform(0.2, 0.3))
            time.sleep(0.5)
            worker.send("stop")
            took = _deliveries(worker.receive())
    name = f"{clients} clients wait for a line of a command"
    yield Figure(f"{name}: delivery p50", percentile(took, 50), "ms", most=40)
    yield Figure(
        f"{name}: delivery p99", percentile(took, 99), "ms", most=150,
        note=f"{len(took):,} of {lines * clients:,} deliveries, the longest {max(took):.0f} ms",
    )  # fmt: skip


def _crowd(clients: int, *, processes: int, quick: bool) -> Iterator[Figure]:
    crowd = _Crowd()
    with serving(TELL, processes) as service, Teller(service) as teller:
        before = rss_bytes(service.web)
        paths = [_LOGS.format(teller.execution)] * clients
        with Worker(hold_polls, service.port, paths, teller.written) as worker:
            for _ in range(1 if quick else 3):
                worker.receive()
                service.settle()
                crowd.idle_shares.append(cpu_share(service.web, 1 if quick else 2))
                crowd.rss_kib = (rss_bytes(service.web) - before) / clients / 1024
                teller.tell()
                answers = worker.receive()
                took = _deliveries(answers)
                crowd.last_ms.append(max(took))
                crowd.half_ms.append(median(took))
                worker.send("again")
            worker.receive()
            service.settle()
            begun_ns = time.monotonic_ns()
            service.terminate()
            crowd.stop_ms = max(a.done_ns - begun_ns for a in worker.receive()) / 1e6
    floor_ms = _floor(clients, processes, len(answers[0].body), len(crowd.last_ms))
    yield from crowd.figures(clients, processes, floor_ms)


@dataclass(slots=True)
class _Crowd:
    """What was seen of many who wait for one line; an element for each round.

    Attributes:
        rss_kib: Memory of each client, in the last round.
        stop_ms: Time from SIGTERM to the answer to the last.
    """

    last_ms: list[float] = field(default_factory=list)
    half_ms: list[float] = field(default_factory=list)
    idle_shares: list[float] = field(default_factory=list)
    rss_kib: float = 0.0
    stop_ms: float = 0.0

    def figures(self, clients: int, processes: int, floor_ms: float) -> Iterator[Figure]:
        """Give the figures, beside the time that the bare server needs."""
        alone = processes == 1
        name = f"{clients:,} polls on {processes} web process{'' if alone else 'es'}"
        last = median(self.last_ms)
        yield Figure(
            f"{name}: last answer", last / 1000, "s", most=1 if alone else 2,
            ratio=last / floor_ms, beside="bare WSGI floor",
            note=f"{len(self.last_ms)} rounds, {min(self.last_ms) / 1000:.2f} to "
            f"{max(self.last_ms) / 1000:.2f} s; the floor {floor_ms / 1000:.2f} s",
        )  # fmt: skip
        half = median(self.half_ms) / 1000
        yield Figure(f"{name}: delivery p50", half, "s", most=None if alone else 1)
        yield Figure(f"{name}: RSS of each", self.rss_kib, "KiB", most=64 if alone else 40)
        idle = median(self.idle_shares) * 100
        yield Figure(f"{name}: idle", idle, "% of a core", most=5)
        yield Figure(f"{name}: SIGTERM, last answer", self.stop_ms / 1000, "s", most=2)


def _floor(clients: int, processes: int, body_bytes: int, rounds: int) -> float:
    """Have the bare server answer as many held requests; return the time to the last, in ms."""
    last = []
    with (
        Peer("held", body_bytes, processes=processes) as peer,
        Worker(hold_polls, peer.port, ["/"] * clients) as worker,
    ):
        for _ in range(rounds):
            worker.receive()
            peer.settle()
            begun_ns = time.monotonic_ns()
            peer.release()
            last.append(max(answer.done_ns - begun_ns for answer in worker.receive()) / 1e6)
            worker.send("again")
    return median(last)


def _deliveries(answers: Sequence[Answer]) -> list[float]:
    """Return the ms from each stamped line to the answer that held it."""
    return [
        (answer.done_ns - int(stamp)) / 1e6
        for answer in answers
        for stamp in _STAMP.findall(answer.body)
    ]


def _spread(clients: int, executions: int, seconds: int) -> Iterator[Figure]:
    lines_per_second = 100
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        url = f"sqlite:///{folder}/slipway.db"
        database = open_store(url)
        held = make_executions(database, executions)
        database.dispose()
        paths = [_LOGS.format(held[i % executions].id) for i in range(clients)]
        with (
            Service(Path(folder), processes=2) as service,
            Worker(follow_logs, service.port, paths) as followers,
        ):
            followers.receive()
            service.settle()
            with Worker(feed, url, held, lines_per_second, seconds) as feeder:
                share = cpu_share(service.web, seconds) / 2
                written, stored_ms = feeder.receive()
            service.settle()  # the last lines may be under way
            followers.send("stop")
            took = _deliveries(followers.receive())
    name = f"{clients:,} polls on {executions:,} executions, {lines_per_second} lines/s"
    yield Figure(
        f"{name}: delivery p99", percentile(took, 99), "ms", most=250,
        note=f"p50 {percentile(took, 50):.0f} ms, of which storing {stored_ms:.1f} ms; "
        f"each web process uses {share:.0%} of a core",
    )  # fmt: skip
    due = written * clients // executions
    yield Figure(f"{name}: deliveries missing", due - len(took), f"of {due:,}", most=0)


def feed(
    _pipe: Pipe, url: str, held: Sequence[DrivenExecution], per_second: float, seconds: float
) -> tuple[int, float]:
    """Write lines to random executions at a fixed rate, each in a transaction of its own.

    Gives the number of lines, and the median of the ms that it took to store one.
    """
    executions = DrivenExecutions(Database(url))
    latest = list(held)
    took = []
    begun = time.monotonic()
    for number in range(round(per_second * seconds)):
        time.sleep(max(0.0, begun + number / per_second - time.monotonic()))
        which = random.randrange(len(latest))
        stamp_ns = time.monotonic_ns()
        entry = NewLogEntry(Level.INFO, time.time_ns() // 1_000_000, f"@{stamp_ns}", "step")
        latest[which] = executions.record(latest[which], OWNER, observation((entry,)))
        took.append((time.monotonic_ns() - stamp_ns) / 1e6)
    return len(took), median(took)


def _flood(lines: int) -> Iterator[Figure]:
    per_second = 100_000
    with serving(_FLOOD, 1) as service:
        begun_ns = time.monotonic_ns()
        execution = service.launch("flood", {"lines": lines, "per_second": per_second})
        with (
            memory_of([service.conductor, *service.web]) as memory,
            Worker(follow_to_the_end, service.port, _LOGS.format(execution)) as follower,
        ):
            follower.receive()
            seen: Followed = follower.receive()
        task = service.call("GET", f"/executions/{execution}/tasks/flood")[0]
    took = (seen.done_ns - begun_ns) / 1e9
    wrote = _moment(task["finished_at"]) - _moment(task["started_at"])
    name = f"{lines:,} lines of a command, {per_second:,} lines/s"
    wrong = abs(lines - seen.numbers) + seen.out_of_order
    yield Figure(f"{name}: lost, double or out of order", wrong, "lines", most=0)
    yield Figure(
        f"{name}: read by one follower", lines / took, "lines/s", least=50_000,
        ratio=wrote / took, beside="as fast as it was written",
        note=f"written in {wrote:.1f} s, read {took - wrote:.1f} s later",
    )  # fmt: skip
    for who, pid in (("conductor", service.conductor), ("web process", service.web[0])):
        grown = (memory[pid].peak - memory[pid].before) / 2**20
        yield Figure(f"{name}: the {who} grows by", grown, "MiB", most=_FLAT_MIB)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

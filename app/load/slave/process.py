"""What a worker process of a slave does; :mod:`app.load.slave.worker` starts it.

It reads from standard input what is wanted of it and writes to standard output what it has done:
:mod:`app.load.slave.lines`. It ends with its input, and keeps nothing.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import gevent
import orjson
import structlog
from gevent import os as waiting
from gevent.event import Event

from app.domain import JSON
from app.load.definition import Definition, of_json
from app.load.measures import Report, empty, with_few_errors
from app.load.messages import DesiredTask, TaskReport
from app.load.protocol import Malformed, read_task
from app.load.slave.client import Client
from app.load.slave.gate import Permission
from app.load.slave.lag import Lag
from app.load.slave.lease import boot_us
from app.load.slave.lines import LONGEST_LINE, reports_line
from app.load.slave.networks import Networks
from app.load.slave.vus import Program, Task
from app.observability import configure_logging

REPORT_SECONDS: Final = 0.5
"""How often it is reported what was done; at once when a task ends."""

_PIECE_BYTES: Final = 256 * 1024
_INPUT, _OUTPUT = 0, 1

_log = structlog.get_logger(__name__)

Compile = Callable[[Definition], Program]
"""Prepares what runs the iterations of a definition."""


class Worker:
    """The tasks of this process.

    Args:
        compile_: Prepares definitions.
    """

    def __init__(self, compile_: Compile) -> None:
        self._compile = compile_
        self._networks = Networks()
        self._permission = Permission()
        self._lag = Lag()
        self._tasks: dict[str, Task | Unrunnable] = {}
        self._definitions: dict[str, Definition] = {}
        self._soon = Event()
        self._processor = Processor()

    def start(self) -> None:
        """Begin to measure how late greenlets are."""
        gevent.spawn(self._lag.run)

    def take(self, line: bytes) -> None:
        """Do what a line says; one that says nothing known is passed over."""
        try:
            message = orjson.loads(line)
            take = _TAKES[message["type"]]
            take(self, message["data"])
        except (orjson.JSONDecodeError, LookupError, TypeError, ValueError, Malformed) as exc:
            _log.warning("load_line_not_understood", reason=str(exc)[:200])

    def reports(self) -> bytes:
        """Return the line that says what was done."""
        tasks = [
            TaskReport(id_, task.generation, with_few_errors(task.report()))
            for id_, task in self._tasks.items()
        ]
        return reports_line(self._processor.load(), self._lag.longest_ms(), tasks)

    def wait(self) -> None:
        """Wait until it is time to report."""
        self._soon.wait(REPORT_SECONDS)
        self._soon.clear()

    def _take_task(self, data: JSON) -> None:
        desired = read_task(data)
        known = self._tasks.get(desired.task)
        if known is not None:
            known.take(desired)
            return
        self._tasks[desired.task] = self._made(desired)
        self._soon.set()

    def _made(self, desired: DesiredTask) -> Task | Unrunnable:
        try:
            definition = self._definition(desired)
            program = self._compile(definition)
        except Exception as exc:  # noqa: BLE001  (whatever it is, the task says so and ends)
            _log.exception("load_definition_not_understood", task=desired.task)
            return Unrunnable(desired, str(exc))
        networks = self._networks
        return Task(
            desired,
            definition.options,
            program,
            make_client=lambda ready: Client(networks, ready),
            permission=self._permission,
            on_end=self._soon.set,
        )

    def _definition(self, desired: DesiredTask) -> Definition:
        known = self._definitions.get(desired.digest)
        if known is None:
            if desired.definition is None:
                raise ValueError("it did not come along")
            known = self._definitions[desired.digest] = of_json(dict(desired.definition))
        return known

    def _take_lease(self, data: Mapping[str, Any]) -> None:
        self._permission.until_us = int(data["until_us"])
        if boot_us() < self._permission.until_us:
            for task in self._tasks.values():
                task.look()

    def _take_networks(self, data: Mapping[str, Any]) -> None:
        self._networks = Networks.of(data["allowed"], data["denied"])

    def _take_forget(self, data: Mapping[str, Any]) -> None:
        task = self._tasks.pop(data["task"], None)
        if task is not None:
            task.stop()
        used = {task.digest for task in self._tasks.values()}
        self._definitions = {
            digest: each for digest, each in self._definitions.items() if digest in used
        }


_TAKES: Final[Mapping[str, Callable[[Worker, Any], None]]] = {
    "task": Worker._take_task,  # noqa: SLF001  (of this module)
    "lease": Worker._take_lease,  # noqa: SLF001
    "networks": Worker._take_networks,  # noqa: SLF001
    "forget": Worker._take_forget,  # noqa: SLF001
}


class Unrunnable:
    """A task whose definition cannot be run here: it says so, and ends.

    Args:
        desired: What is wanted.
        reason: What is wrong with its definition.
    """

    def __init__(self, desired: DesiredTask, reason: str) -> None:
        self.generation = desired.generation
        self.digest = desired.digest
        self._report = empty(ended=True)
        self._report["errors"] = [
            {
                "code": "EXECUTION_ERROR",
                "message": f"the definition cannot be run: {reason}"[:500],
                "step_id": "",
                "first_ms": time.time_ns() // 1_000_000,
                "count": 1,
            }
        ]

    def take(self, desired: DesiredTask) -> None:
        """Follow what is wanted, which is never done."""
        self.generation = max(self.generation, desired.generation)

    def look(self) -> None:
        """Change nothing."""

    def stop(self) -> None:
        """Change nothing."""

    def report(self) -> Report:
        """Return why nothing was done."""
        return self._report


class Processor:
    """How much of its processor this process uses."""

    def __init__(self) -> None:
        self._used, self._at = time.process_time(), time.monotonic()

    def load(self) -> float:
        """Return the share since this was asked last, from 0 to 1."""
        used, at = time.process_time(), time.monotonic()
        share = (used - self._used) / max(at - self._at, 0.001)
        self._used, self._at = used, at
        return min(1.0, share)


def lines(descriptor: int) -> Iterator[bytes]:
    """Yield lines as they come, until the end, or until one is too long."""
    rest = bytearray()
    while data := waiting.nb_read(descriptor, _PIECE_BYTES):
        rest += data
        if b"\n" in data:
            *whole, rest = rest.split(b"\n")
            yield from map(bytes, whole)
        if len(rest) > LONGEST_LINE:
            return


def write(descriptor: int, data: bytes) -> None:
    """Write all of something, letting others run meanwhile.

    Raises:
        OSError: Nobody reads it any more.
    """
    view = memoryview(data)
    while view:
        view = view[waiting.nb_write(descriptor, view) :]


def run(worker: Worker, source: int, target: int) -> None:
    """Work until the input ends, or nobody reads what is said."""
    for descriptor in (source, target):
        waiting.make_nonblocking(descriptor)
    worker.start()
    ends = [gevent.spawn(_listen, worker, source), gevent.spawn(_report, worker, target)]
    gevent.wait(ends, count=1)
    gevent.killall(ends)


def _listen(worker: Worker, source: int) -> None:
    for line in lines(source):
        worker.take(line)


def _report(worker: Worker, target: int) -> None:
    with suppress(OSError):
        while True:
            write(target, worker.reports())
            worker.wait()


def main(compile_: Compile) -> None:
    """Run a worker process on its standard input and output."""
    target = os.dup(_OUTPUT)
    os.dup2(2, _OUTPUT)  # whatever is printed is no line of the protocol
    configure_logging("INFO", "console")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()
    run(Worker(compile_), _INPUT, target)
    os._exit(0)  # requests under way end with the process

"""Running work whose cost a user decides in processes of its own, with bounds of time and memory.

Threads would not do: they share the interpreter's lock, so a busy one costs the event loop up to
5 ms at each handover, and nobody can end it. A worker process is started with the first call, takes
one call at a time, and is ended and replaced when a call takes too long or too much memory. It
knows the service's code, and none of its secrets: it gets no environment but what Python needs.

A call names a function of one ``bytes`` that returns ``bytes``.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import struct
import subprocess
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Final

import structlog

from app.concurrency import FairPlaces, make_pool, original

log = structlog.get_logger(__name__)

_HEADER: Final = struct.Struct("!I")
_CHUNK: Final = 1 << 20
_SPENT_BYTES: Final = 256 * 2**20
_MODEST: Final = 5
_DONE: Final = "done"
_OVER: Final = "over"
_FAILED: Final = "failed"
_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TZ")


def bare_environment() -> dict[str, str]:
    """Return what Python needs of this process's environment, which may hold secrets."""
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


class OverBudget(Exception):
    """A call took more time or memory than it may."""


class Isolated:
    """Worker processes for calls of one kind.

    Instances may be shared by threads and by greenlets; a caller waits, others do not.

    Args:
        processes: Most workers, and calls at the same time.
        seconds: Longest time of a call.
        memory_bytes: Most address space of a worker.
        waiting: Most calls of one owner that may wait for their turn; None for any number.
    """

    def __init__(
        self,
        processes: int = 1,
        *,
        seconds: float,
        memory_bytes: int = 2**30,
        waiting: int | None = 32,
    ) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._places = FairPlaces(processes, waiting)
        self._pool = make_pool(processes)
        self._idle: list[_Worker] = []

    def run(self, owner: str, function: str, argument: bytes) -> bytes:
        """Call a function in a worker.

        Args:
            owner: Who wants it; turns go round by owner.
            function: ``package.module:name``.
            argument: What the function gets.

        Raises:
            OverBudget: It took too much time or memory.
            LimitExceeded: Too many calls of this owner wait already.
            RuntimeError: It failed; the worker printed why to its standard error.
        """
        with self._places.place(owner):
            worker = self._idle.pop() if self._idle else None
            worker, reply = self._pool.run(self._call, worker, function, argument)
            if worker is not None:
                self._idle.append(worker)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _call(
        self, worker: _Worker | None, function: str, argument: bytes
    ) -> tuple[_Worker | None, bytes | Exception]:
        if worker is None or not worker.alive:
            worker = _Worker(self._memory_bytes)
        try:
            kind, content, spent = worker.call((function, argument, self._seconds), self._seconds)
        except (TimeoutError, EOFError, BrokenPipeError) as exc:
            log.warning("work was ended", function=function, why=type(exc).__name__)
            kind, content, spent = _OVER, b"", True
        if spent:
            worker.end()
        reply: bytes | Exception = content
        if kind == _OVER:
            reply = OverBudget(f"{function} took too much time or memory")
        elif kind == _FAILED:
            reply = RuntimeError(f"{function} failed in its process")
        return None if spent else worker, reply


class _Worker:
    """The service's end of one process; to be used from a real thread."""

    def __init__(self, memory_bytes: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603  (constants, and a number)
            [sys.executable, "-P", "-m", "app.isolation", str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=bare_environment(),
        )
        # Under gevent, the module's own name stands for one that needs an event loop.
        self._poll = original("select", "poll")()
        assert self._process.stdin is not None  # noqa: S101  (asked for above)
        assert self._process.stdout is not None  # noqa: S101
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._poll.register(self._from)

    @property
    def alive(self) -> bool:
        """Whether it has not been ended, by the kernel or an operator."""
        return self._process.poll() is None

    def call(self, request: tuple[str, bytes, float], seconds: float) -> tuple[str, bytes, bool]:
        """Send a request and wait for its reply: its kind, its content, and if it was the last.

        Raises:
            TimeoutError: There was none in time.
            EOFError, BrokenPipeError: The process has ended.
        """
        _write(self._to, pickle.dumps(request))
        deadline = time.monotonic() + seconds
        length = _HEADER.unpack(self._read(_HEADER.size, deadline))[0]
        reply: tuple[str, bytes, bool] = pickle.loads(self._read(length, deadline))  # noqa: S301
        return reply

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self, length: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(left * 1000):
                raise TimeoutError
            part = os.read(self._from, min(_CHUNK, length - len(parts)))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(_HEADER.pack(len(content)) + content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def main() -> None:
    """Be a worker: take requests from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides when this ends
    memory_bytes = int(sys.argv[1])
    os.nice(_MODEST)  # the event loop goes first
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    output = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not be taken for a reply
    while request := _next(sys.stdin.buffer):
        function, argument, seconds = request
        _limit_time(seconds)
        _write(output, pickle.dumps(_answer(function, argument)))


def _next(stream: BinaryIO) -> Any:
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    return pickle.loads(stream.read(_HEADER.unpack(header)[0]))  # noqa: S301


def _limit_time(seconds: float) -> None:
    """Make sure of an end even when the service is gone."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + 2 * seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _answer(function: str, argument: bytes) -> tuple[str, bytes, bool]:
    try:
        module, _, name = function.partition(":")
        kind, content = _DONE, getattr(import_module(module), name)(argument)
    except MemoryError:
        return _OVER, b"", True
    except Exception:  # noqa: BLE001  (its caller is told, in another process)
        traceback.print_exc()
        kind, content = _FAILED, b""
    return kind, content, _resident_bytes() > _SPENT_BYTES


def _resident_bytes() -> int:
    """Return how much memory this process holds; source: proc_pid_statm(5)."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


if __name__ == "__main__":
    main()

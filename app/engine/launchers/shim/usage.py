"""What a job takes of the machine, measured now and then by its shim, and cheaply.

Each measurement reads some lines of proc(5) for each process of the tree: the descendants of the
shim, also those that left the process group or were adopted by the shim. What has ended and was
waited for is in the kernel's sums. Between two measurements the shim sleeps as before.
"""

# ruff: noqa: PTH208 - pathlib alone would add a fifth to the time that the shim takes to start

import math
import os
import resource
import time
from contextlib import suppress

from .records import USAGE, USAGE_RECORD, process_stat, read_kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST_SECONDS = 0.1
"""From the beginning of the command to the first measurement; each later pause is twice as long."""
_LONGEST_SECONDS = 10.0
"""Longest pause between two measurements, as long as these are short."""
_SHARE = 2000
"""A pause is so many times as long as the measurement before it took."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_KIB = 1024
_USER, _CHILDREN_SYSTEM, _THREADS, _RESIDENT = 11, 14, 17, 21


class Usage:
    """What the descendants of this process take.

    Attributes:
        due: When the next measurement is to be made, as time.monotonic() counts; never, before the
            command has begun.
    """

    def __init__(self) -> None:
        self.due = math.inf
        self._pause = _FIRST_SECONDS
        self._measured_at = 0.0
        self._cpu_seconds = self._cpu_percent = 0.0
        self._memory: int | None = None
        self._peak: int | None = None
        self._fd: int | None = None

    def begin(self) -> None:
        """Note that the command begins now."""
        self._measured_at = time.monotonic()
        self.due = self._measured_at + self._pause

    def measure(self) -> None:
        """Measure, and leave the figures in the job's folder, where a launcher may read them."""
        began = time.monotonic()
        live, memory = _live(os.getpid())
        self._note_cpu(_ended_seconds() + live, began)
        if memory:
            self._memory, self._peak = memory, max(memory, self._peak or 0)
        with suppress(OSError):  # a full disk: then nobody knows
            self._leave()
        now = time.monotonic()
        self._pause = max(min(2 * self._pause, _LONGEST_SECONDS), _SHARE * (now - began))
        self.due = now + self._pause

    def end(self) -> "dict[str, float | int | None] | None":
        """Return all figures once everything has ended; None if nothing ever began."""
        if self.due == math.inf:
            return None
        if self._memory is None:
            self._note_cpu(_ended_seconds(), time.monotonic())
        self._cpu_seconds = max(self._cpu_seconds, _ended_seconds())
        # What a fork has of this process counts for its child, whose own peak is unknown below it.
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        if largest > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
            self._peak = max(self._peak or 0, largest * _KIB)
        return {
            "cpu_seconds": round(self._cpu_seconds, 3),
            "cpu_percent": round(self._cpu_percent, 1),
            "memory_bytes": self._memory,
            "memory_peak_bytes": self._peak,
        }

    def _note_cpu(self, seconds: float, now: float) -> None:
        # What a parent never waited for is in no sum any more.
        seconds = max(seconds, self._cpu_seconds)
        passed = now - self._measured_at
        if passed > 0:
            self._cpu_percent = 100 * (seconds - self._cpu_seconds) / passed
        self._cpu_seconds, self._measured_at = seconds, now

    def _leave(self) -> None:
        if self._fd is None:
            self._fd = os.open(USAGE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        figures = (self._cpu_seconds, self._cpu_percent, self._memory or 0, self._peak or 0)
        os.pwrite(self._fd, USAGE_RECORD.pack(*figures), 0)


def _ended_seconds() -> float:
    """Return the processor time of what has ended and was waited for."""
    times = os.times()
    return times.children_user + times.children_system


def _live(ancestor: int) -> "tuple[float, int]":
    """Return the processor time in seconds, and the resident memory in bytes, of what runs.

    The time is with that of their own children which they waited for. Pages that several
    processes share count for each.
    """
    ticks = pages = 0
    for stat in _descendants(ancestor):
        ticks += sum(map(int, stat[_USER : _CHILDREN_SYSTEM + 1]))
        pages += int(stat[_RESIDENT])
    return ticks / _TICKS, pages * _PAGE_BYTES


def _descendants(ancestor: int) -> "Iterator[list[str]]":
    """Yield what the kernel tells of each descendant, see :func:`process_stat`.

    One that is just born or dies may be missed, which is as good as a measurement a moment earlier.
    """
    waiting = _children(ancestor, 1)
    while waiting:
        with suppress(OSError):  # it has ended
            pid = waiting.pop()
            stat = process_stat(pid)
            waiting += _children(pid, int(stat[_THREADS]))
            yield stat


def _children(pid: int, threads: int) -> "list[int]":
    """Find the children of a process; none where the kernel was built without telling them."""
    tasks = [str(pid)] if threads == 1 else os.listdir(f"/proc/{pid}/task")
    children: list[int] = []
    for task in tasks:
        with suppress(OSError):  # the thread has ended
            path = f"/proc/{pid}/task/{task}/children"
            children += map(int, read_kernel(path, whole=True).split())
    return children

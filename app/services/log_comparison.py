"""Comparing two logs line by line: task by task, and without what differs from run to run.

Tasks write at the same time, so their lines stand in another order in each log; those of one task,
and of one of its streams, do not. So both logs are read once, at the same pace, and each line waits
for its counterpart in the other. What waits has a bound, as has what is read, and the time.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Final

from app.domain import LogEntry, LogStream
from app.services.differences import cut_entry

MOST_ENTRIES: Final = 200_000
"""Entries of each log that are read."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""About how many bytes of what they say."""
MOST_WAITING_BYTES: Final = 32 * 1024 * 1024
"""About how many bytes of lines wait for their counterparts."""
MOST_SECONDS: Final = 10.0
"""How long a comparison goes on."""
MOST_LINES: Final = 100
"""Tasks of which the first line that differs is told."""
COMPARED: Final = 4096
"""Characters of a line that are compared."""
_SIDES: Final = 2
_ENTRY_BYTES: Final = 200
_IN_ONE_TURN: Final = 200

_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = "(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?"
_UNIT = "(?:ns|us|\u00b5s|ms|s|m|h|seconds?|secs?|sec|minutes?|mins?|hours?|milliseconds?)"
# Each begins where no word or number goes on, so that a long one is looked at once.
_VARYING = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    r"|0x[0-9a-fA-F]+"
    r"|[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}"
    r"(?:[T _][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
    rf"|{_DAY}{_MONTH} {{1,2}}[0-9]{{1,2}}(?![0-9])"
    rf"|{_DAY}[0-9]{{1,2}}[ /-]{_MONTH}[ /-][0-9]{{2,4}}(?![0-9])"
    r"|[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?"
    rf"|(?:[0-9]+(?:\.[0-9]+)? ?{_UNIT})+(?![0-9A-Za-z])"
    r"|(?i:pid)[ =:]{1,3}[0-9]+"
    r")"
)
"""Moments, durations, UUIDs, addresses in memory and numbers of processes: other ones each time."""

Turn = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class LineDifference:
    """The first line of a task that is not the same in two logs.

    Attributes:
        line: Which one of its task and its stream it is, from 1.
        before: The entry of the one; None where it has no such line.
        after: The entry of the other.
    """

    task: str
    line: int
    before: LogEntry | None
    after: LogEntry | None

    @property
    def place(self) -> int:
        """Where it stands in the log that has it."""
        entry = self.before or self.after
        return entry.sequence if entry is not None else 0


@dataclass(frozen=True, slots=True)
class LogDifference:
    """How two logs differ.

    Attributes:
        lines: Of each task that both have, the first line that differs; the first one first.
        compared: Entries of either log that were read.
        stopped_by: What ended the comparison before the end of the logs: ``entries``, ``bytes``,
            ``waiting`` (lines without counterpart), ``time``, or ``purged`` where there is nothing
            to compare; empty if nothing did.
    """

    lines: tuple[LineDifference, ...] = ()
    compared: tuple[int, int] = (0, 0)
    stopped_by: str = ""


class LogComparison:
    """Compares two logs.

    Args:
        unshared: Tasks that only one of the two executions has; their lines do not count.
        shared: Tasks that both have.
        names: Texts that mean the execution itself in either log, such as its id.
        turn: Taken for each piece of the work.
    """

    def __init__(
        self,
        shared: Collection[str],
        unshared: Collection[str],
        names: tuple[Collection[str], Collection[str]],
        turn: Turn,
    ) -> None:
        self._undecided = {"", *shared}
        self._unshared = unshared
        self._names = names
        self._turn = turn
        self._found: dict[str, LineDifference] = {}
        # By task and by stream: whose lines wait, and which.
        self._waiting: dict[str, dict[int, tuple[int, deque[LogEntry]]]] = {}
        self._lines: dict[tuple[str, int], int] = {}
        self._waiting_bytes = 0

    def run(self, logs: Sequence[Iterator[LogEntry]]) -> LogDifference:
        """Read the two logs until all differences are found, or a bound is reached."""
        until = time.monotonic() + MOST_SECONDS
        read, sizes, open_ = [0, 0], [0, 0], {0, 1}
        stopped_by = ""
        while open_ and self._undecided and not stopped_by:
            side = min(open_, key=lambda each: (read[each], each))
            entries = [*islice(logs[side], _IN_ONE_TURN)]
            if not entries:
                open_.discard(side)
            with self._turn():
                for entry in entries:
                    self._take(side, entry)
                if len(open_) < _SIDES:  # what the other one says beyond has no counterpart
                    self._leave_all_over(open_ or {0, 1})
            read[side] += len(entries)
            sizes[side] += sum(len(entry.content) for entry in entries)
            if self._undecided:
                stopped_by = self._bound(max(read), max(sizes), until)
        found = sorted(self._found.values(), key=lambda each: each.place)
        return LogDifference(tuple(found[:MOST_LINES]), (read[0], read[1]), stopped_by)

    def _bound(self, entries: int, size: int, until: float) -> str:
        """Return which bound is reached; empty if none is."""
        if entries >= MOST_ENTRIES:
            return "entries"
        if size >= MOST_BYTES:
            return "bytes"
        if self._waiting_bytes >= MOST_WAITING_BYTES:
            return "waiting"
        return "time" if time.monotonic() >= until else ""

    def _take(self, side: int, entry: LogEntry) -> None:
        """Compare a line with its counterpart, or let it wait for that."""
        key = entry.task, entry.stream
        if entry.task in self._found or entry.task in self._unshared:
            return
        streams = self._waiting.setdefault(entry.task, {})
        whose, waiting = streams.setdefault(entry.stream, (side, deque()))
        if not waiting:
            streams[entry.stream] = (side, waiting)
        elif whose != side:
            other = waiting.popleft()
            self._waiting_bytes -= _weight(other)
            self._lines[key] = self._lines.get(key, 0) + 1
            pair = (entry, other) if side == 0 else (other, entry)
            # What an orchestrator says of a task comes behind all that the task wrote before.
            if not self._same(*pair) and not (
                entry.stream == LogStream.NONE and self._leave_over(entry.task, {0, 1})
            ):
                self._decide(key, *pair)
            return
        waiting.append(entry)
        self._waiting_bytes += _weight(entry)

    def _same(self, before: LogEntry, after: LogEntry) -> bool:
        if before.level != after.level:
            return False
        if before.content == after.content:
            return True
        texts = map(_lasting, (before.content, after.content), self._names)
        return next(texts) == next(texts)

    def _decide(
        self, key: tuple[str, int], before: LogEntry | None, after: LogEntry | None
    ) -> None:
        """Note the first difference of a task, and forget what waits of it."""
        task = key[0]
        told = (None if entry is None else cut_entry(entry) for entry in (before, after))
        self._found[task] = LineDifference(task, self._lines[key], *told)
        self._undecided.discard(task)
        for _, waiting in self._waiting.pop(task).values():
            self._waiting_bytes -= sum(map(_weight, waiting))

    def _leave_all_over(self, sides: Collection[int]) -> None:
        for task in [*self._waiting]:
            self._leave_over(task, sides)

    def _leave_over(self, task: str, sides: Collection[int]) -> bool:
        """Note the first line of a task that has no counterpart, as none can come any more.

        Args:
            task: The task.
            sides: Whose lines.

        Returns:
            Whether there is one.
        """
        left = [
            (rest[0], side)
            for side, rest in self._waiting.get(task, {}).values()
            if side in sides and rest
        ]
        if not left:
            return False
        entry, side = min(left, key=lambda each: each[0].sequence)
        key = entry.task, entry.stream
        self._lines[key] = self._lines.get(key, 0) + 1
        self._decide(key, *((entry, None) if side == 0 else (None, entry)))
        return True


def _weight(entry: LogEntry) -> int:
    return _ENTRY_BYTES + len(entry.content)


def _lasting(content: str, names: Collection[str]) -> str:
    """Return what a line says without what differs from run to run."""
    content = content[:COMPARED]
    for name in names:
        content = content.replace(name, "\0")
    return _VARYING.sub("\0", content)

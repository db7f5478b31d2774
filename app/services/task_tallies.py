"""How many entries of a log are those of one task, and where they stand.

No index knows of tasks (see :meth:`app.store.journal.Journal.of_task`), so they are counted by
going through the journal, a stretch in a turn. What was counted is kept, as entries never change:
whoever asks again pays for what came since.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from app.caching import LruCache
from app.domain import Execution, Level
from app.memory import TALLIES_BYTES
from app.services.stretches import Stretches

_STRETCH: Final = 8192
"""Entries of a journal that are gone through in one turn."""

_Key = tuple[int, Level, str]


@dataclass(frozen=True, slots=True)
class Tally:
    """The entries of one task that a filter lets through, in a journal up to some place.

    Attributes:
        before: How many stand before each whole stretch of the journal, and behind the last one.
        place: How far the journal was gone through.
        total: How many there are.
    """

    before: tuple[int, ...] = (0,)
    place: int = 0
    total: int = 0

    def until(self, end: int) -> Tally:
        """Return what of it is known up to some place in the journal."""
        if end >= self.place:
            return self
        whole = end // _STRETCH
        return Tally(self.before[: whole + 1], whole * _STRETCH, self.before[whole])

    def seek(self, index: int) -> tuple[int, int]:
        """Find an entry by its index among those that are counted.

        Returns:
            A place in the journal before it, and how many of the entries from there come first.
        """
        stretch = bisect_right(self.before, index) - 1
        return stretch * _STRETCH, index - self.before[stretch]


class TaskTallies:
    """Counts the entries of single tasks.

    Args:
        stretches: Has the journal, and the turns in which it is read.
    """

    def __init__(self, stretches: Stretches) -> None:
        self._stretches = stretches
        self._kept: LruCache[_Key, Tally] = LruCache(TALLIES_BYTES)

    def of(self, execution: Execution, levels: Level, task: str, owner: str) -> Tally:
        """Count the entries of a task.

        Args:
            execution: The execution; nothing behind what it says of its journal is counted.
            levels: Levels to let through.
            task: Name of the task; empty for what the execution itself says.
            owner: Who takes the turns.
        """
        key, end = (execution.number, levels, task), execution.log_total
        known = self._kept.get(key) or Tally()
        tally = known.until(end)  # somebody may know of more already
        while tally.place < end:
            tally = self._further(tally, key, end, owner)
        if tally.place > known.place:
            self._kept.put(key, tally)
        return tally

    def before(self, execution: Execution, levels: Level, task: str, place: int, owner: str) -> int:
        """Count the entries of a task that stand before a place in the journal; see :meth:`of`."""
        tally = self.of(execution, levels, task, owner)
        if place >= tally.place:
            return tally.total
        key, stretch = (execution.number, levels, task), place // _STRETCH
        return tally.before[stretch] + self._count(key, stretch * _STRETCH, place, owner)

    def _further(self, tally: Tally, key: _Key, end: int, owner: str) -> Tally:
        stop = min(end, (tally.place // _STRETCH + 1) * _STRETCH)
        total = tally.total + self._count(key, tally.place, stop, owner)
        whole = stop % _STRETCH == 0
        return Tally((*tally.before, total) if whole else tally.before, stop, total)

    def _count(self, key: _Key, first: int, stop: int, owner: str) -> int:
        number, levels, task = key
        with self._stretches.turn(owner):
            return self._stretches.journal.count_of_task(number, levels, first, stop, task=task)

"""How many entries of a log are those of one task, or match a pattern, and where they stand.

No index knows of that (see :meth:`app.store.journal.Journal.of_task`), so they are counted by
going through the journal, a stretch in a turn. What was counted is kept, as entries never change:
whoever asks again pays for what came since.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.caching import LruCache
from app.domain import Execution, Level
from app.memory import TALLIES_BYTES
from app.services.grep import Patience
from app.services.stretches import Stretch, Stretches, StretchKey

_STRETCH: Final = 8192
"""Entries of a journal that are gone through in one turn."""


@dataclass(frozen=True, slots=True)
class Sieve:
    """What lets entries of a log through where no index helps.

    Attributes:
        levels: Levels to let through.
        task: Name of the only task; empty for what the execution itself says, None for any.
        grep: Pattern that the content must match somewhere; None for any content.
    """

    levels: Level
    task: str | None = None
    grep: str | None = None

    @classmethod
    def where_needed(cls, levels: Level, task: str | None, grep: str | None) -> Sieve | None:
        """Return one; None where an index helps, as it does for levels alone."""
        return None if task is None and grep is None else cls(levels, task, grep)


@dataclass(frozen=True, slots=True)
class Tally:
    """The entries that a sieve lets through, in a journal up to some place.

    Attributes:
        before: How many stand before each whole stretch of the journal, and behind the last one.
        place: How far the journal was gone through.
        total: How many there are.
    """

    before: tuple[int, ...] = (0,)
    place: int = 0
    total: int = 0

    def further(self, places: Sequence[int], end: int) -> Tally:
        """Return it once the journal was gone through up to an end.

        Args:
            places: Of the entries that were found behind, in their order.
            end: The end.
        """
        ends = range((self.place // _STRETCH + 1) * _STRETCH, end + 1, _STRETCH)
        before = (self.total + bisect_left(places, each) for each in ends)
        return Tally((*self.before, *before), end, self.total + len(places))

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


class Tallies:
    """Counts the entries that sieves let through.

    Args:
        stretches: Has the journal, and the turns in which it is read.
    """

    def __init__(self, stretches: Stretches) -> None:
        self._stretches = stretches
        self._kept: LruCache[tuple[int, Sieve], Tally] = LruCache(TALLIES_BYTES)

    def of(self, execution: Execution, sieve: Sieve, owner: str) -> Tally:
        """Count the entries that a sieve lets through.

        Args:
            execution: The execution; nothing behind what it says of its journal is counted.
            sieve: The sieve.
            owner: Who takes the turns.

        Raises:
            InvalidRequest: Its pattern takes too long.
            LimitExceeded: It takes longer than one request may; the next one goes on from there.
        """
        key, end = (execution.number, sieve), execution.log_total
        known = self._kept.get(key) or Tally()
        tally = known.until(end)  # somebody may know of more already
        patience = Patience()
        try:
            while tally.place < end:
                tally = self._further(tally, execution, sieve, owner)
                if sieve.grep is not None and tally.place < end:
                    patience.require()
        finally:
            if tally.place > known.place:
                self._kept.put(key, tally)
        return tally

    def before(self, execution: Execution, sieve: Sieve, place: int, owner: str) -> int:
        """Count the entries that stand before a place in the journal; see :meth:`of`."""
        tally = self.of(execution, sieve, owner)
        if place >= tally.place:
            return tally.total
        stretch = place // _STRETCH
        rest = self._count(execution, sieve, stretch * _STRETCH, place, owner)
        return tally.before[stretch] + rest

    def _further(self, tally: Tally, execution: Execution, sieve: Sieve, owner: str) -> Tally:
        if sieve.grep is not None:
            found = self._read(execution, sieve, tally.place, owner)
            return tally.further([entry.sequence for entry in found.entries], found.next)
        stop = min(execution.log_total, (tally.place // _STRETCH + 1) * _STRETCH)
        total = tally.total + self._count(execution, sieve, tally.place, stop, owner)
        whole = stop % _STRETCH == 0
        return Tally((*tally.before, total) if whole else tally.before, stop, total)

    def _count(self, execution: Execution, sieve: Sieve, first: int, stop: int, owner: str) -> int:
        if sieve.grep is not None:
            return self._count_read(execution, sieve, first, stop, owner)
        number, task = execution.number, sieve.task or ""
        with self._stretches.turn(owner):
            count = self._stretches.journal.count_of_task
            return count(number, sieve.levels, first, stop, task=task)

    def _count_read(
        self, execution: Execution, sieve: Sieve, first: int, stop: int, owner: str
    ) -> int:
        """Count what has to be read for that."""
        number, place = 0, first
        while place < stop:
            found = self._read(execution, sieve, place, owner)
            number += sum(entry.sequence < stop for entry in found.entries)
            place = found.next
        return number

    def _read(self, execution: Execution, sieve: Sieve, place: int, owner: str) -> Stretch:
        """Read the next ones; where few entries are of the levels, they come from far behind."""
        key = StretchKey(
            execution.number, execution.log_counts, sieve.levels, place,
            owner=owner, task=sieve.task, grep=sieve.grep,
        )  # fmt: skip
        return self._stretches.read(key)

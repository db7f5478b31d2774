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
        sieve = cls(levels, task, grep)
        return sieve if sieve.is_needed else None

    @property
    def is_needed(self) -> bool:
        """Whether no index helps."""
        return self.task is not None or self.grep is not None

    def first_stretch(self, execution: Execution, place: int, owner: str) -> StretchKey:
        """Return what reads the first entries that it lets through from a place in a journal on."""
        return StretchKey(
            execution.number, execution.log_counts, self.levels, place,
            owner=owner, task=self.task, grep=self.grep,
        )  # fmt: skip


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

    def after_gap(self, place: int) -> int:
        """Return from where on to look for the next entry: what is known to hold none is passed."""
        stretch = place // _STRETCH
        if stretch + 1 < len(self.before) and self.before[stretch] == self.before[stretch + 1]:
            return bisect_right(self.before, self.before[stretch]) * _STRETCH - _STRETCH
        return place

    def before_gap(self, place: int) -> int:
        """Return up to where to look for the entry before: what is known to hold none is passed."""
        stretch = -(-place // _STRETCH)
        if 0 < stretch < len(self.before) and self.before[stretch - 1] == self.before[stretch]:
            return bisect_left(self.before, self.before[stretch]) * _STRETCH
        return place

    def before_stretch(self, place: int) -> tuple[int, int]:
        """Return where the stretch begins in which a place is, and how many stand before that.

        Args:
            place: The journal was gone through up to it.
        """
        stretch = min(place // _STRETCH, len(self.before) - 1)
        return stretch * _STRETCH, self.before[stretch]


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
        patience = Patience()
        tally = self.as_far_as(execution, sieve, owner, None if sieve.grep is None else patience)
        if tally.place < execution.log_total:
            patience.require()
        return tally

    def as_far_as(
        self, execution: Execution, sieve: Sieve, owner: str, patience: Patience | None
    ) -> Tally:
        """Count as :meth:`of` does, as far as that gets in some time; what is counted is kept.

        Args:
            execution: The execution.
            sieve: The sieve.
            owner: Who takes the turns.
            patience: The time; None for all that it takes.

        Raises:
            InvalidRequest: Its pattern takes too long.
        """
        key, end = (execution.number, sieve), execution.log_total
        known = self._kept.get(key) or Tally()
        tally = known.until(end)  # somebody may know of more already
        try:
            while tally.place < end:
                tally = self._further(tally, execution, sieve, owner)
                if patience is not None and patience.is_over:
                    break
        finally:
            if tally.place > known.place:
                self._kept.put(key, tally)
        return tally

    def known(self, execution: Execution, sieve: Sieve) -> Tally:
        """Return what was counted already, of a journal as an execution says that it is."""
        known = self._kept.get((execution.number, sieve)) or Tally()
        return known.until(execution.log_total)

    def before(self, execution: Execution, sieve: Sieve, place: int, owner: str) -> int:
        """Count the entries that stand before a place in the journal; see :meth:`of`."""
        tally = self.of(execution, sieve, owner)
        if place >= tally.place:
            return tally.total
        first, before = tally.before_stretch(place)
        return before + self._count(execution, sieve, first, place, owner)

    def holds(self, execution: Execution, sieve: Sieve, place: int, owner: str) -> bool:
        """Return whether an entry stands at a place in the journal that a sieve lets through.

        Raises:
            InvalidRequest: Its pattern takes too long.
        """
        if place >= execution.log_total:
            return False
        return self._count(execution, sieve, place, place + 1, owner) > 0

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
        return self._stretches.read(sieve.first_stretch(execution, place, owner))

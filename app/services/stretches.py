"""Stretches: parts of journals, each small enough to be read and written in one turn.

Whatever reads a log (a page, a stream, a download) goes from stretch to stretch. What many readers
get is read once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from app.caching import SharedReads
from app.domain import Level, LogEntry
from app.memory import STRETCHES_BYTES
from app.services.grep import Grep
from app.services.turns import Turns
from app.store.journal import Counts, Journal, content_bytes

STRETCH = 500
"""Most entries of a stretch."""

_STRETCH_BYTES = 128 * 1024
_ENTRY_BYTES = 300


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Stretch:
    """Log entries that many readers may share, so it is its own key for caches.

    Attributes:
        next: Place in the journal to go on from.
    """

    entries: list[LogEntry]
    next: int


@dataclass(frozen=True, slots=True)
class StretchKey:
    """All that a stretch depends on; entries never change, so it can be kept.

    Attributes:
        number: Number of the execution.
        counts: Entries of each level; nothing behind them is read.
        levels: Levels to let through.
        place: Where it begins.
        size: Most entries.
        within: ``place`` is an index among the entries let through, and not in the whole journal.
        owner: Who takes the turn if it has to be read.
        task: The only task to let through; not ``within``. None for all, and the execution itself.
        grep: Pattern that the content must match somewhere; not ``within``. None for any content.
    """

    number: int
    counts: Counts
    levels: Level
    place: int
    size: int = STRETCH
    within: bool = False
    owner: str = field(default="", compare=False)
    task: str | None = None
    grep: str | None = None

    @property
    def sifts(self) -> bool:
        """Whether no index knows what is let through."""
        return self.task is not None or self.grep is not None


class Stretches:
    """Reads stretches.

    Args:
        journal: Reads entries.
        turns: Lets others act between two stretches.
        grep: Looks for patterns.
    """

    def __init__(self, journal: Journal, turns: Turns, grep: Grep | None = None) -> None:
        self.journal = journal
        self.turns = turns
        self.grep = grep or Grep()
        # Whoever reads a long log from its start shares with nobody, and must not fill the memory.
        self._shared: SharedReads[StretchKey, Stretch] = SharedReads(
            self.read, STRETCHES_BYTES, weigh=_weight
        )

    def get(self, key: StretchKey) -> Stretch:
        """Return a stretch, read once for all readers who want the same."""
        return self._shared.get(key)

    def read(self, key: StretchKey) -> Stretch:
        """Read a stretch that nobody else will want."""
        if key.grep is not None:
            return self._read_matching(key, key.grep)
        if key.task is not None:
            return self._read_task(key, key.task)
        read = self.journal.page if key.within else self.journal.since
        with self.turn(key.owner):
            entries = read(
                key.number, key.counts, key.levels, key.place, key.size, most_bytes=_STRETCH_BYTES
            )
        whole = len(entries) == key.size or content_bytes(entries) >= _STRETCH_BYTES
        return Stretch(entries, entries[-1].sequence + 1 if entries and whole else sum(key.counts))

    def _read_task(self, key: StretchKey, task: str) -> Stretch:
        with self.turn(key.owner):
            entries, place = self.journal.of_task(
                key.number, key.counts, key.levels, key.place, key.size, task=task,
                most_bytes=_STRETCH_BYTES,
            )  # fmt: skip
        return Stretch(entries, place)

    def _read_matching(self, key: StretchKey, pattern: str) -> Stretch:
        """Read a whole stretch, and leave in it what a pattern matches; perhaps nothing."""
        read = self.read(replace(key, grep=None, size=STRETCH))
        found = self.grep.matching(read.entries, pattern, key.owner)
        if len(found) <= key.size:
            return Stretch(found, read.next)
        return Stretch(found[: key.size], found[key.size - 1].sequence + 1)

    def turn(self, owner: str) -> AbstractContextManager[None]:
        """Take a turn for one reading of the journal, if that takes one.

        Where the process does not wait for the database, nobody needs to wait for a turn to ask.
        """
        return self.turns.turn(owner) if self.journal.blocks else nullcontext()

    def all(self, key: StretchKey, size: int, *, shared: bool = True) -> Iterator[Stretch]:
        """Yield one stretch after the other, so many entries together at the most.

        Args:
            key: The first.
            size: Most entries.
            shared: Others may want the same.
        """
        get, end = self.get if shared else self.read, sum(key.counts)
        while size > 0 and (key.within or key.place < end):
            stretch = get(replace(key, size=min(size, STRETCH)))
            if stretch.entries:
                yield stretch
            elif not key.sifts:
                return
            size -= len(stretch.entries)
            if size > 0:
                key = replace(key, place=stretch.next, within=False)

    def behind(
        self, key: StretchKey, skip: int, size: int, *, shared: bool = True
    ) -> Iterator[Stretch]:
        """Yield stretches as :meth:`all` does, without so many entries at their beginning.

        Args:
            key: The first.
            skip: How many entries to leave out.
            size: Most entries beside those.
            shared: Others may want the same.
        """
        for stretch in self.all(key, skip + size if size > 0 else 0, shared=shared):
            if skip < len(stretch.entries):
                yield Stretch(stretch.entries[skip:], stretch.next) if skip else stretch
            skip = max(0, skip - len(stretch.entries))


def _weight(stretch: Stretch) -> int:
    """Estimate the bytes of a stretch, without a look at each part of each entry."""
    return _ENTRY_BYTES + sum(_ENTRY_BYTES + len(entry.content) for entry in stretch.entries)

"""Logs: pages of an execution's journal, at once or when there is something to read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.domain import ALL_LEVELS, Execution, ExecutionStatus, Identity, Level, LogEntry
from app.errors import FieldError, InvalidRequest
from app.services.executions import ExecutionService
from app.services.places import Places
from app.services.readers import Readers, Shared, breathe
from app.services.repeats import Repeats
from app.settings import LogSettings
from app.store.changes import Changes
from app.store.journal import Counts, Journal, Totals, count

_TEXT_BATCH = 1000
_PAGE_BATCH = 1000
_PAGE_CHARACTERS = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which entries somebody wants.

    Attributes:
        start: Index of the first entry, counted among those that the filter lets through.
        after: Place in the journal of the last entry that the reader has; wins over ``start``.
        size: Most entries; -1 for all, up to the limit of the service; 0 for the total only.
        levels: Levels to let through.
        timeout_seconds: How long to wait for an entry.
    """

    start: int
    size: int
    levels: Level
    timeout_seconds: float
    after: int | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class LogPage:
    """Entries of a log; readers who ask the same share one, so it is its own key for caches.

    Attributes:
        total: Number of entries that the filter lets through so far.
        complete: No entry can come any more.
    """

    entries: list[LogEntry]
    start: int
    total: int
    status: ExecutionStatus
    complete: bool


class LogText:
    """The log of an execution as text, as it is now.

    Args:
        journal: Reads entries.
        execution: The execution.
        levels: Levels to let through.

    Attributes:
        size: Bytes of the whole text.
        complete: No byte can come any more.
        etag: Names this text and no other.
    """

    def __init__(self, journal: Journal, execution: Execution, levels: Level) -> None:
        self._journal = journal
        self._execution = execution
        self._levels = levels
        self._totals = Totals(execution.log_counts, execution.log_bytes)
        self.size = count(execution.log_bytes, levels)
        self.complete = execution.log_complete
        self.etag = f"{execution.id}-{int(levels)}"

    def open_at(self, offset: int) -> tuple[int, Iterator[list[LogEntry]]]:
        """Find where to begin writing to reach a byte of the text.

        Returns:
            Number of bytes before the first entry, at most ``offset``, and the entries in batches.
        """
        number = self._execution.number
        place, before = self._journal.find_byte(number, self._totals, self._levels, offset)
        return before, self._batches(place)

    def _batches(self, place: int) -> Iterator[list[LogEntry]]:
        counts = self._totals.counts
        while True:
            entries = self._journal.since(
                self._execution.number, counts, self._levels, place, _TEXT_BATCH
            )
            if not entries:
                return
            yield entries
            place = entries[-1].sequence + 1


class _PageKey(NamedTuple):
    """All that a page depends on; entries never change, so it can be kept."""

    number: int
    counts: Counts
    status: ExecutionStatus
    complete: bool
    levels: Level
    start: int
    size: int


class LogService:
    """Reads journals, and waits for them to grow.

    Args:
        service: Finds executions and says who may see them.
        readers: What the readers of an execution share.
        journal: Reads entries.
        changes: Wakes who waits.
        places: Bounds how many wait.
        repeats: Knows who polls beyond the end again and again.
        settings: Limits.
    """

    def __init__(
        self,
        service: ExecutionService,
        readers: Readers,
        journal: Journal,
        changes: Changes,
        *,
        places: Places,
        repeats: Repeats,
        settings: LogSettings,
    ) -> None:
        self._service = service
        self._readers = readers
        self._journal = journal
        self._changes = changes
        self._places = places
        self._repeats = repeats
        self._settings = settings
        self._pages = Shared(self._make_page)

    def page(
        self, execution_id: str, identity: Identity, query: LogQuery, address: str = ""
    ) -> LogPage:
        """Read a page; wait until it holds something, or nothing can come any more.

        Who was told already that nothing can come any more waits all the same.

        Args:
            execution_id: The execution.
            identity: Who reads.
            query: What he wants.
            address: Where he calls from.

        Raises:
            NotFound: There is no such execution for this user.
            InvalidRequest: The wait is longer than the service allows.
            LimitExceeded: Too many wait already.
        """
        if query.timeout_seconds > self._settings.max_timeout:
            limit = f"must be at most {self._settings.max_timeout:g} seconds"
            raise InvalidRequest("The wait is too long.", fields=(FieldError("timeout", limit),))
        deadline = time.monotonic() + query.timeout_seconds
        with self._changes.subscribe(execution_id) as subscription:
            execution = self._service.get(execution_id, identity)
            if execution.id != execution_id:
                return self.page(execution.id, identity, query, address)
            if query.after is not None:
                query = replace(query, start=self._index_behind(execution, query), after=None)
            again = self._asks_again(execution, query, identity, address)
            if query.timeout_seconds <= 0 or (self._answers(execution, query) and not again):
                return self._read(execution, query)
            with self._places.place(identity, "poll"):
                while again or not self._answers(execution, query):
                    left = deadline - time.monotonic()
                    if left <= 0 or self._changes.closing:
                        break
                    if not execution.log_complete:
                        self._readers.note(execution, left)
                    del execution  # ten thousand who wait must not hold a copy each
                    subscription.wait(left)
                    execution = self._readers.latest(execution_id, subscription.seen)
            return self._read(execution, query)

    def text(self, execution_id: str, identity: Identity, levels: Level) -> LogText:
        """Give the log as text.

        Raises:
            NotFound: There is no such execution for this user.
        """
        return LogText(self._journal, self._service.get(execution_id, identity), levels)

    def _index_behind(self, execution: Execution, query: LogQuery) -> int:
        """Turn a place in the journal into the index, within the filter, of the entry behind it."""
        place = (query.after or 0) + 1
        counts = execution.log_counts
        ahead = max(0, place - sum(counts)) if query.levels == ALL_LEVELS else 0
        return ahead + self._journal.index_of(execution.number, counts, query.levels, place)

    def _asks_again(
        self, execution: Execution, query: LogQuery, identity: Identity, address: str
    ) -> bool:
        """Tell whether somebody polls beyond the end of a finished log once more."""
        beyond = execution.log_complete and query.start >= count(execution.log_counts, query.levels)
        if not beyond or query.size == 0 or query.timeout_seconds <= 0:
            return False
        return self._repeats.asks_again(execution, identity, address, query.timeout_seconds)

    @staticmethod
    def _answers(execution: Execution, query: LogQuery) -> bool:
        total = count(execution.log_counts, query.levels)
        return total > query.start or execution.log_complete or query.size == 0

    def _read(self, execution: Execution, query: LogQuery) -> LogPage:
        limit = self._settings.max_page
        size = limit if query.size < 0 else min(query.size, limit)
        return self._pages.get(
            _PageKey(execution.number, execution.log_counts, execution.status,
                     execution.log_complete, query.levels, query.start, size)
        )  # fmt: skip

    def _make_page(self, key: _PageKey) -> LogPage:
        entries: list[LogEntry] = []
        characters = 0
        for batch in self._batches(key):
            entries += batch
            characters += sum(len(entry.content) for entry in batch)
            if characters > _PAGE_CHARACTERS:
                break
        return LogPage(entries, key.start, count(key.counts, key.levels), key.status, key.complete)

    def _batches(self, key: _PageKey) -> Iterator[list[LogEntry]]:
        """Read the entries of a page, so many at a time that others have their turns."""
        left, asked = key.size, min(key.size, _PAGE_BATCH)
        batch = self._journal.page(key.number, key.counts, key.levels, key.start, asked)
        while batch:
            yield batch
            left -= len(batch)
            if len(batch) < asked or not left:
                return
            breathe()
            place, asked = batch[-1].sequence + 1, min(left, _PAGE_BATCH)
            batch = self._journal.since(key.number, key.counts, key.levels, place, asked)

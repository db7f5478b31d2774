"""Following an execution over one open connection, whatever the transport.

The journal is the buffer: a reader pulls from it at his own speed, so a slow one costs no memory
and holds up nobody. What readers at the same place get is made once and shared. The cursor is an
entry's place in the whole journal, whatever the filter; it resumes exactly on every transport.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from app.domain import Execution, ExecutionStatus, Identity, Level, LogEntry
from app.errors import NotAuthenticated, NotFound
from app.services.executions import ExecutionService
from app.services.readers import Readers
from app.settings import StreamSettings
from app.store.changes import Changes, Subscription
from app.store.journal import Counts, Journal, count

_BATCH = 500
_CACHED = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Log entries that many readers may share, so it is its own key for caches.

    Attributes:
        next: Place in the journal to go on from.
    """

    entries: list[LogEntry]
    next: int


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The execution has another status; the first event of each stream is one."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class Dropped:
    """Entries were left out, since the reader was too slow.

    Attributes:
        count: How many.
        first: Place in the journal where they begin.
        next: Place in the journal to go on from.
    """

    count: int
    first: int
    next: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened, and the connection is alive."""


@dataclass(frozen=True, slots=True)
class Ended:
    """No entry can come any more.

    Attributes:
        next: Number of entries in the journal, the cursor behind them all.
    """

    status: ExecutionStatus
    next: int


@dataclass(frozen=True, slots=True)
class Moved:
    """This process stops; the reader goes on elsewhere, from the cursor."""

    next: int


@dataclass(frozen=True, slots=True)
class Expired:
    """The reader may not read any more."""

    reason: str


Event = Batch | StatusChanged | Dropped | Heartbeat | Ended | Moved | Expired


@dataclass(frozen=True, slots=True)
class FollowQuery:
    """What to follow, and from where.

    Attributes:
        levels: Levels to let through.
        start: Index of the first entry, counted among those let through.
        after: Place in the journal of the last entry that the reader has; wins over ``start``.
    """

    levels: Level
    start: int = 0
    after: int | None = None


class _BatchKey(NamedTuple):
    """All that a batch depends on; entries never change, so it can be kept."""

    number: int
    counts: Counts
    levels: Level
    position: int


class FollowService:
    """Follows executions.

    Args:
        service: Finds executions and says who may see them.
        readers: What the readers of an execution share.
        journal: Reads entries.
        changes: Wakes who waits.
        settings: Heartbeat and limits.
    """

    def __init__(
        self,
        service: ExecutionService,
        readers: Readers,
        journal: Journal,
        changes: Changes,
        settings: StreamSettings,
    ) -> None:
        self._service = service
        self.readers = readers
        self.journal = journal
        self.changes = changes
        self.settings = settings
        self.batch = lru_cache(_CACHED)(self._make_batch)

    def open(self, execution_id: str, identity: Identity, query: FollowQuery) -> Iterator[Event]:
        """Begin to follow; what cannot be followed fails here, before the first event.

        Returns:
            The events, each when it happens; the last one is ``Ended``, ``Moved`` or ``Expired``.

        Raises:
            NotFound: There is no such execution for this user.
        """
        execution = self._service.get(execution_id, identity)

        def recheck() -> None:
            self._service.get(execution_id, identity)

        return _Follower(self, execution, query, recheck).events()

    def has_ended(self, execution_id: str, identity: Identity, after: int) -> bool:
        """Tell whether a reader who got the event with this cursor has got everything."""
        execution = self._service.get(execution_id, identity)
        return execution.log_complete and after >= execution.log_total

    def _make_batch(self, key: _BatchKey) -> Batch:
        entries = self.journal.since(key.number, key.counts, key.levels, key.position, _BATCH)
        full = len(entries) == _BATCH
        return Batch(entries, entries[-1].sequence + 1 if full else sum(key.counts))


class _Follower:
    """One reader's way through a journal."""

    def __init__(
        self,
        service: FollowService,
        execution: Execution,
        query: FollowQuery,
        recheck: Callable[[], None],
    ) -> None:
        self._service = service
        self._settings = service.settings
        self._execution = execution
        self._levels = query.levels
        self._recheck = recheck
        self._position, self._skip = self._begin(query)
        self._caught_up = False

    def _begin(self, query: FollowQuery) -> tuple[int, int]:
        """Find the place to begin at, and how many entries to pass over from there."""
        if query.after is not None:
            return query.after + 1, 0
        counts = self._execution.log_counts
        total = count(counts, query.levels)
        if query.start >= total:
            return sum(counts), query.start - total
        number = self._execution.number
        page = self._service.journal.page(number, counts, query.levels, query.start, 1)
        return page[0].sequence, 0

    def events(self) -> Iterator[Event]:
        """Give each event when it happens."""
        changes = self._service.changes
        shown = self._execution.status
        yield StatusChanged(self._execution)
        checked_at = time.monotonic()
        with changes.subscribe(self._execution.id) as subscription:
            while True:
                execution = self._latest(subscription)
                yield from self._log(execution)
                if execution.status is not shown:
                    shown = execution.status
                    yield StatusChanged(execution)
                if execution.log_complete and self._position >= execution.log_total:
                    yield Ended(execution.status, execution.log_total)
                    return
                if changes.closing:
                    yield Moved(self._position)
                    return
                if time.monotonic() - checked_at > self._settings.recheck:
                    checked_at = time.monotonic()
                    reason = self._expired()
                    if reason is not None:
                        yield Expired(reason)
                        return
                if not subscription.wait(self._settings.heartbeat) and not changes.closing:
                    yield Heartbeat()

    def _latest(self, subscription: Subscription) -> Execution:
        execution = self._service.readers.latest(self._execution.id, subscription.seen)
        if not execution.status.final:
            self._service.readers.note(execution, self._settings.heartbeat)
        return execution

    def _log(self, execution: Execution) -> Iterator[Event]:
        behind = execution.log_total - self._position
        if self._caught_up and behind > self._settings.max_lag:
            yield self._drop(execution)
        while self._position < execution.log_total:
            key = _BatchKey(execution.number, execution.log_counts, self._levels, self._position)
            batch = self._pass_over(self._service.batch(key))
            self._position = batch.next
            if batch.entries:
                yield batch
        self._caught_up = True

    def _pass_over(self, batch: Batch) -> Batch:
        """Leave out entries before the index that was asked for, which lay in the future."""
        if not self._skip:
            return batch
        left, self._skip = batch.entries[self._skip :], max(0, self._skip - len(batch.entries))
        return Batch(left, batch.next)

    def _drop(self, execution: Execution) -> Dropped:
        first, self._position = self._position, execution.log_total - _BATCH
        index = self._service.journal.index_of
        number, counts = execution.number, execution.log_counts
        missed = index(number, counts, self._levels, self._position) - index(
            number, counts, self._levels, first
        )
        return Dropped(missed, first, self._position)

    def _expired(self) -> str | None:
        try:
            self._recheck()
        except (NotFound, NotAuthenticated) as exc:
            return exc.message
        return None

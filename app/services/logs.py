"""Logs: pages of an execution's journal, at once or when there is something to read."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial

from app.domain import ALL_LEVELS, Execution, ExecutionStatus, Identity, Level
from app.errors import FieldError, InvalidRequest
from app.services.access import Access
from app.services.executions import ExecutionService
from app.services.follow_notes import FollowNotes
from app.services.idle import Idle
from app.services.places import Places
from app.services.reads import ExecutionReads
from app.services.repeats import Repeats
from app.services.stretches import Stretch, Stretches, StretchKey
from app.settings import LogSettings
from app.store.changes import Changes
from app.store.journal import Totals, count


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


@dataclass(frozen=True, slots=True)
class LogPage:
    """Entries of a log.

    Attributes:
        stretches: Reads the entries, from the first on each time; no more than were asked for.
        total: Number of entries that the filter lets through so far.
        complete: No entry can come any more.
        owner: Whose turns are taken; the pages of a user have turns beside those of their streams.
    """

    stretches: Callable[[], Iterator[Stretch]]
    start: int
    total: int
    status: ExecutionStatus
    complete: bool
    owner: str


class LogText:
    """The log of an execution as text, as it is now.

    Args:
        stretches: Reads entries.
        execution: The execution.
        levels: Levels to let through.
        owner: Whose turns are taken.

    Attributes:
        size: Bytes of the whole text.
        complete: No byte can come any more.
        etag: Names this text and no other.
        owner: Whose turns are taken.
    """

    def __init__(
        self, stretches: Stretches, execution: Execution, levels: Level, owner: str
    ) -> None:
        self._stretches = stretches
        self._first = StretchKey(execution.number, execution.log_counts, levels, 0, owner=owner)
        self.owner = owner
        self._totals = Totals(execution.log_counts, execution.log_bytes)
        self.size = count(execution.log_bytes, levels)
        self.complete = execution.log_complete
        self.etag = f"{execution.id}-{int(levels)}"

    def open_at(self, offset: int) -> tuple[int, Iterator[Stretch]]:
        """Find where to begin writing to reach a byte of the text.

        Returns:
            Number of bytes before the first entry, at most ``offset``, and the entries.
        """
        first = self._first
        place, before = self._stretches.journal.find_byte(
            first.number, self._totals, first.levels, offset
        )
        entries = sum(first.counts)
        return before, self._stretches.all(replace(first, place=place), entries, shared=False)


class LogService:
    """Reads journals, and waits for them to grow.

    Args:
        service: Finds executions and says who may see them.
        reads: Reads executions once for all.
        stretches: Reads entries.
        changes: Wakes who waits.
        notes: Notes who follows.
        access: Checks now and then that whoever waits may still read.
        places: Bounds how many wait.
        repeats: Knows who polls beyond the end again and again.
        settings: Limits.
    """

    def __init__(
        self,
        service: ExecutionService,
        reads: ExecutionReads,
        stretches: Stretches,
        changes: Changes,
        *,
        notes: FollowNotes,
        access: Access,
        places: Places,
        repeats: Repeats,
        settings: LogSettings,
    ) -> None:
        self._service = service
        self._reads = reads
        self._notes = notes
        self._stretches = stretches
        self._changes = changes
        self._access = access
        self._places = places
        self._repeats = repeats
        self._settings = settings

    def steps(
        self, execution_id: str, identity: Identity, query: LogQuery, address: str = ""
    ) -> Generator[Idle, None, LogPage]:
        """Read a page once it holds something, or nothing can come any more.

        Whoever was told already that nothing can come any more waits all the same.

        Args:
            execution_id: The execution.
            identity: Who reads.
            query: What they want.
            address: Where they call from.

        Yields:
            ``Idle`` until there is a page, which is what the generator returns.

        Raises:
            NotFound: There is no such execution for this user.
            NotAuthenticated: The credential ceased to hold while the request waited.
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
                return (yield from self.steps(execution.id, identity, query, address))
            if query.after is not None:
                query = replace(query, start=self._index_behind(execution, query), after=None)
            again = self._asks_again(execution, query, identity, address)
            if query.timeout_seconds <= 0 or (self._answers(execution, query) and not again):
                return self._read(execution, query, identity)
            with self._places.place(identity, "poll"):
                watch = self._access.watch(identity)
                while again or not self._answers(execution, query):
                    left = deadline - time.monotonic()
                    if left <= 0 or self._changes.closing:
                        break
                    if not execution.log_complete:
                        self._notes.note(execution, left)
                    del execution  # ten thousand who wait must not hold a copy each
                    yield (idle := Idle(subscription, min(left, watch.seconds_left())))
                    if idle.is_over:
                        deadline = 0.0
                    woken = subscription.has_changed()
                    if watch.check():
                        self._service.get(execution_id, watch.identity)
                    read = self._reads.latest if woken or self._changes.closing else self._reads.get
                    execution = read(execution_id)
            return self._read(execution, query, identity)

    def text(self, execution_id: str, identity: Identity, levels: Level) -> LogText:
        """Return the log as text.

        Raises:
            NotFound: There is no such execution for this user.
        """
        execution = self._service.get(execution_id, identity)
        return LogText(self._stretches, execution, levels, identity.username)

    def _index_behind(self, execution: Execution, query: LogQuery) -> int:
        """Turn a place in the journal into the index, within the filter, of the entry behind it."""
        place = (query.after or 0) + 1
        counts = execution.log_counts
        ahead = max(0, place - sum(counts)) if query.levels == ALL_LEVELS else 0
        return ahead + self._stretches.journal.index_of(
            execution.number, counts, query.levels, place
        )

    def _asks_again(
        self, execution: Execution, query: LogQuery, identity: Identity, address: str
    ) -> bool:
        """Return whether a client that was told of the end of a log polls beyond it again."""
        beyond = execution.log_complete and query.start >= count(execution.log_counts, query.levels)
        if not beyond or query.size == 0 or query.timeout_seconds <= 0:
            return False
        return self._repeats.asks_again(execution, identity, address, query.timeout_seconds)

    @staticmethod
    def _answers(execution: Execution, query: LogQuery) -> bool:
        total = count(execution.log_counts, query.levels)
        return total > query.start or execution.log_complete or query.size == 0

    def _read(self, execution: Execution, query: LogQuery, identity: Identity) -> LogPage:
        limit = self._settings.max_page
        size = limit if query.size < 0 else min(query.size, limit)
        total, owner = count(execution.log_counts, query.levels), f"{identity.username} page"
        first = StretchKey(
            execution.number, execution.log_counts, query.levels, query.start, within=True,
            owner=owner,
        )  # fmt: skip
        stretches = partial(self._stretches.all, first, min(size, total - query.start))
        return LogPage(
            stretches, query.start, total, execution.status, execution.log_complete, owner
        )

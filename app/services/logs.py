"""Logs: pages of an execution's journal, at once or when there is something to read."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial

from app.domain import ALL_LEVELS, Execution, ExecutionStatus, Identity, Level, LogEntry
from app.errors import FieldError, InvalidRequest
from app.services.access import Access
from app.services.executions import ExecutionService, require_log
from app.services.follow_notes import FollowNotes
from app.services.idle import Idle
from app.services.places import Places
from app.services.reads import ExecutionReads
from app.services.repeats import Repeats
from app.services.stretches import Stretch, Stretches, StretchKey
from app.services.tallies import Sieve, Tallies
from app.settings import LogSettings
from app.store.changes import Changes
from app.store.journal import BLOCK, Totals, count


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which entries somebody wants.

    Attributes:
        start: Index of the first entry, counted among those that the filter lets through.
        after: Place in the journal of the last entry that the reader has; wins over ``start``.
        size: Most entries; -1 for all, up to the limit of the service; 0 for the total only.
        levels: Levels to let through.
        timeout_seconds: How long to wait for an entry.
        task: The only task to let through; empty for what the execution itself says, None for all.
        tail: Begin so many entries before the end; wins over ``start``.
        grep: Pattern that the content must match somewhere; None for any content.
    """

    start: int
    size: int
    levels: Level
    timeout_seconds: float = 0.0
    after: int | None = None
    task: str | None = None
    tail: int | None = None
    grep: str | None = None

    @property
    def sieve(self) -> Sieve | None:
        """What lets entries through where no index helps; None where one does."""
        return Sieve.where_needed(self.levels, self.task, self.grep)


@dataclass(frozen=True, slots=True)
class LogPage:
    """Entries of a log.

    Attributes:
        stretches: Reads the entries, from the first on each time; no more than were asked for.
        total: Number of entries that the filter lets through so far.
        complete: No entry can come to the log any more.
        version: Is another one once readers see anything else of it.
        owner: Whose turns are taken; the pages of a user have turns beside those of their streams.
    """

    stretches: Callable[[], Iterator[Stretch]]
    start: int
    total: int
    status: ExecutionStatus
    complete: bool
    owner: str
    version: str


class LogPart:
    """A part of a log as text, as it is now; nobody has counted its bytes.

    Args:
        stretches: Reads the entries.
        etag: Names this text and no other.
        owner: Whose turns are taken.
    """

    def __init__(self, stretches: Iterator[Stretch], etag: str, owner: str) -> None:
        self.stretches = stretches
        self.etag = etag
        self.owner = owner


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


@dataclass(frozen=True, slots=True)
class LogExtract:
    """A log, of a long one its beginning and its end.

    Attributes:
        beginning: Reads the entries of the beginning, from the first on each time.
        end: Reads those of the end; none where the beginning is all.
        left_out: How many entries stand between the two.
        total: How many there are in all.
    """

    beginning: Callable[[], Iterator[Stretch]]
    end: Callable[[], Iterator[Stretch]]
    left_out: int
    total: int


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
        tallies: Counts what sieves let through.
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
        tallies: Tallies,
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
        self._tallies = tallies
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
            Purged: There was one, or its log was removed.
            NotAuthenticated: The credential ceased to hold while the request waited.
            InvalidRequest: The wait is longer than the service allows, or the pattern is no good.
            LimitExceeded: Too many wait already, or the log is too long for the pattern.
        """
        if query.timeout_seconds > self._settings.max_timeout:
            limit = f"must be at most {self._settings.max_timeout:g} seconds"
            raise InvalidRequest("The wait is too long.", fields=(FieldError("timeout", limit),))
        deadline = time.monotonic() + query.timeout_seconds
        self._stretches.grep.check(query.grep, identity.username)
        with self._changes.subscribe(execution_id) as subscription:
            execution = self._service.get(execution_id, identity)
            if execution.id != execution_id:
                return (yield from self.steps(execution.id, identity, query, address))
            require_log(execution)
            query = self._placed(execution, query, identity)
            again = self._asks_again(execution, query, identity, address)
            if query.timeout_seconds <= 0 or (
                self._answers(execution, query, identity) and not again
            ):
                return self._read(execution, query, identity)
            with self._places.place(identity, "poll"):
                watch = self._access.watch(identity)
                while again or not self._answers(execution, query, identity):
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
                    require_log(execution)
            return self._read(execution, query, identity)

    def text(self, execution_id: str, identity: Identity, query: LogQuery) -> LogText | LogPart:
        """Return the log as text, or the entries of it that somebody wants.

        Raises:
            NotFound: There is no such execution for this user.
            Purged: There was one, or its log was removed.
            InvalidRequest: The pattern is no good.
            LimitExceeded: The log is too long for the pattern.
        """
        self._stretches.grep.check(query.grep, identity.username)
        execution = self._service.get(execution_id, identity)
        require_log(execution)
        query, owner = self._placed(execution, query, identity), identity.username
        if query.start == 0 and query.size < 0 and query.sieve is None:
            return LogText(self._stretches, execution, query.levels, owner)
        number = self._number(execution, query, identity)
        task = "" if query.task is None else f"-{query.task.encode().hex()}"
        grep = "" if query.grep is None else f"-{_short_digest(query.grep)}"
        etag = f"{execution.id}-{int(query.levels)}-{query.start}-{number}{task}{grep}"
        entries = self._entries(execution, query, number, owner, shared=False)
        return LogPart(entries, etag, owner)

    def entries(
        self, execution: Execution, query: LogQuery, identity: Identity
    ) -> Iterator[LogEntry]:
        """Read entries of an execution that somebody may see, as it was when they got it.

        Raises:
            Purged: The log was removed.
        """
        require_log(execution)
        query = self._placed(execution, query, identity)
        number = self._number(execution, query, identity)
        owner = identity.username
        for stretch in self._entries(execution, query, number, owner, shared=False):
            yield from stretch.entries

    def extract(self, execution: Execution, most_bytes: int, owner: str) -> LogExtract:
        """Return the log as it is now, of one that is longer its first quarter and its end.

        Args:
            execution: The execution.
            most_bytes: Bytes of its text that are enough, about.
            owner: Whose turns are taken.

        Raises:
            Purged: It was removed.
        """
        require_log(execution)
        total, size = execution.log_total, sum(execution.log_bytes)
        first = StretchKey(execution.number, execution.log_counts, ALL_LEVELS, 0, owner=owner)
        stop = begin = total
        if size > most_bytes:
            begin = self._place_of_byte(execution, size - most_bytes * 3 // 4)
            # Places are known for each block, and the beginning is at least one.
            stop = min(begin, max(BLOCK, self._place_of_byte(execution, most_bytes // 4)))
        return LogExtract(
            partial(self._stretches.all, first, stop, shared=False),
            partial(self._stretches.all, replace(first, place=begin), total - begin, shared=False),
            begin - stop,
            total,
        )

    def _place_of_byte(self, execution: Execution, offset: int) -> int:
        """Return a place in the journal at, or soon before, a byte of it as text."""
        totals = Totals(execution.log_counts, execution.log_bytes)
        place, _ = self._stretches.journal.find_byte(execution.number, totals, ALL_LEVELS, offset)
        return place

    def _number(self, execution: Execution, query: LogQuery, identity: Identity) -> int:
        """Return how many entries somebody wants, from where they begin, that there are at most."""
        if query.start == 0 and query.grep is not None:
            left = execution.log_total  # how many match is found out on the way
        else:
            left = max(0, self._total(execution, query, identity) - query.start)
        return left if query.size < 0 else min(query.size, left)

    def _total(self, execution: Execution, query: LogQuery, identity: Identity) -> int:
        """Count the entries that a filter lets through."""
        if query.sieve is None:
            return count(execution.log_counts, query.levels)
        return self._tallies.of(execution, query.sieve, identity.username).total

    def _entries(
        self, execution: Execution, query: LogQuery, number: int, owner: str, *, shared: bool = True
    ) -> Iterator[Stretch]:
        """Read so many entries from the one on with which somebody wants to begin."""
        place, skip = query.start, 0
        if query.sieve is not None and query.start:
            place, skip = self._tallies.of(execution, query.sieve, owner).seek(query.start)
        first = StretchKey(
            execution.number, execution.log_counts, query.levels, place,
            within=query.sieve is None, owner=owner, task=query.task, grep=query.grep,
        )  # fmt: skip
        return self._stretches.behind(first, skip, number, shared=shared)

    def _placed(self, execution: Execution, query: LogQuery, identity: Identity) -> LogQuery:
        """Return a query that begins at an index within the filter, whatever said where."""
        if query.after is not None:
            start = self._index_behind(execution, query, identity)
        elif query.tail is not None:
            start = max(0, self._total(execution, query, identity) - query.tail)
        else:
            return query
        return replace(query, start=start, after=None, tail=None)

    def _index_behind(self, execution: Execution, query: LogQuery, identity: Identity) -> int:
        """Turn a place in the journal into the index, within the filter, of the entry behind it."""
        place = (query.after or 0) + 1
        counts = execution.log_counts
        if query.sieve is not None:
            return self._tallies.before(execution, query.sieve, place, identity.username)
        ahead = max(0, place - sum(counts)) if query.levels == ALL_LEVELS else 0
        return ahead + self._stretches.journal.index_of(
            execution.number, counts, query.levels, place
        )

    def _asks_again(
        self, execution: Execution, query: LogQuery, identity: Identity, address: str
    ) -> bool:
        """Return whether a client that was told of the end of a log polls beyond it again."""
        beyond = execution.log_complete and query.start >= self._total(execution, query, identity)
        if not beyond or query.size == 0 or query.timeout_seconds <= 0:
            return False
        return self._repeats.asks_again(execution, identity, address, query.timeout_seconds)

    def _answers(self, execution: Execution, query: LogQuery, identity: Identity) -> bool:
        total = self._total(execution, query, identity)
        return total > query.start or execution.log_complete or query.size == 0

    def _read(self, execution: Execution, query: LogQuery, identity: Identity) -> LogPage:
        limit = self._settings.max_page
        size = limit if query.size < 0 else min(query.size, limit)
        total, owner = self._total(execution, query, identity), f"{identity.username} page"
        number = max(0, min(size, total - query.start))
        stretches = partial(self._entries, execution, query, number, owner)
        told = (
            execution.id, int(query.levels), query.task, query.grep, query.start, number, total,
            str(execution.status), execution.log_complete,
        )  # fmt: skip
        return LogPage(
            stretches, query.start, total, execution.status, execution.log_complete, owner,
            version=repr(told),
        )  # fmt: skip


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]

"""Following an execution over one open connection, whatever the transport.

The journal is the buffer: a reader pulls from it at its own speed, so a slow one costs no memory
and holds up nobody. What readers at the same place get is made once and shared. The cursor is an
entry's place in the whole journal, whatever the filter; it resumes exactly on every transport.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from app.domain import (
    Execution,
    ExecutionStatus,
    ExecutionSummary,
    Identity,
    Level,
    Task,
    Tombstone,
)
from app.errors import InvalidRequest, NotAuthenticated, NotFound, Purged, UpstreamError
from app.services.access import Access, Caller, Watch
from app.services.executions import ExecutionService, require_log
from app.services.follow_notes import FollowNotes
from app.services.idle import Idle, waited
from app.services.reads import ExecutionReads
from app.services.stretches import STRETCH, Stretch, Stretches, StretchKey
from app.services.tallies import Sieve, Tallies
from app.settings import StreamSettings
from app.store.changes import Changes, Subscription
from app.store.journal import count

log = structlog.get_logger(__name__)

Batch = Stretch
"""Log entries, as the event that there are some."""


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The execution has another status; the first event of each stream is one."""

    execution: ExecutionSummary


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
class Changed:
    """Something of the execution changed, perhaps its tasks."""

    execution: Execution


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


@dataclass(frozen=True, slots=True)
class Removed:
    """An execution was purged: nobody can ask for it any more."""

    execution: Tombstone


Event = Batch | StatusChanged | Dropped | Changed | Heartbeat | Ended | Moved | Expired | Removed


@dataclass(frozen=True, slots=True)
class FollowQuery:
    """What to follow, and from where.

    Attributes:
        levels: Levels to let through.
        start: Index of the first entry, counted among those let through.
        after: Place in the journal of the last entry that the reader has; wins over ``start``.
        task: The only task to let through, none of whose entries is dropped for a slow reader; None
            for all, and the execution itself.
        tail: Begin so many entries before the end; wins over ``start``, and ``after`` over it.
        grep: Pattern that the content must match somewhere; nothing is dropped then, either. None
            for any content.
        with_log: Entries are told; without them only how the execution stands, also where its log
            was purged.
    """

    levels: Level
    start: int = 0
    after: int | None = None
    task: str | None = None
    tail: int | None = None
    grep: str | None = None
    with_log: bool = True

    @property
    def sieve(self) -> Sieve | None:
        """What lets entries through where no index helps; None where one does."""
        return Sieve.where_needed(self.levels, self.task, self.grep)


class Rhythm:
    """When a stream must speak again.

    Args:
        heartbeat_seconds: Longest silence.
    """

    def __init__(self, heartbeat_seconds: float) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self.spoke()

    def spoke(self) -> None:
        """Note that the reader got something just now."""
        self._spoke_at = time.monotonic()

    def silence_left(self) -> float:
        """Return the seconds until the stream must speak; 0 when it must do so now."""
        return max(0.0, self._spoke_at + self._heartbeat_seconds - time.monotonic())


class FollowService:
    """Follows executions.

    Args:
        service: Finds executions and says who may see them.
        reads: Reads executions once for all.
        stretches: Reads entries.
        changes: Wakes who waits.
        settings: Heartbeat and limits.
        notes: Notes who follows.
        access: Checks now and then that a reader may still read.
        tallies: Counts what sieves let through.
    """

    def __init__(
        self,
        service: ExecutionService,
        reads: ExecutionReads,
        stretches: Stretches,
        changes: Changes,
        settings: StreamSettings,
        *,
        notes: FollowNotes,
        access: Access,
        tallies: Tallies,
    ) -> None:
        self._service = service
        self.tallies = tallies
        self.reads = reads
        self.notes = notes
        self.stretches = stretches
        self.changes = changes
        self.settings = settings
        self.access = access

    def open(
        self, execution_id: str, caller: Caller, query: FollowQuery
    ) -> Generator[Event, None, None]:
        """Follow as :meth:`steps` does, and wait for each event."""
        return waited(self.steps(execution_id, caller, query))

    def steps(
        self,
        execution_id: str,
        caller: Caller,
        query: FollowQuery,
        *,
        get: Callable[[Identity], Execution] | None = None,
    ) -> Generator[Event | Idle, None, None]:
        """Begin to follow; what cannot be followed fails here, before the first event.

        Args:
            execution_id: What to follow.
            caller: Who follows; asked again now and then.
            query: Which entries.
            get: Gets the execution for whoever may follow it; whoever may see it unless given.

        Returns:
            The events, each when it happens; the last one is ``Ended``, ``Moved`` or ``Expired``.
            Between them, ``Idle`` where nothing is to be done.

        Raises:
            NotFound: There is no such execution for this user.
            InvalidRequest: The pattern is no good.
        """
        get = get or partial(self._service.get, execution_id)
        return _Follower(self, query, get, self.access.watch(caller(), caller)).events()

    def tasks(self, execution: ExecutionSummary) -> Sequence[Task]:
        """List the tasks of an execution that is being followed."""
        return self.reads.tasks(execution)

    def has_ended(self, execution_id: str, identity: Identity, after: int) -> bool:
        """Return whether a reader who got the event with this cursor has got everything."""
        execution = self._service.get(execution_id, identity)
        return execution.log_complete and after >= execution.log_total


class _Follower:
    """One reader's way through a journal."""

    def __init__(
        self,
        service: FollowService,
        query: FollowQuery,
        get: Callable[[Identity], Execution],
        watch: Watch,
    ) -> None:
        self._service = service
        self._stretches = service.stretches
        self._journal = service.stretches.journal
        self._changes = service.changes
        self._settings = service.settings
        self._levels = query.levels
        self._sieve, self._task, self._grep = query.sieve, query.task, query.grep
        self._with_log = query.with_log
        self._get = get
        self._watch = watch
        self._rhythm = Rhythm(service.settings.heartbeat)
        self._owner = watch.identity.username
        self._stretches.grep.check(query.grep, self._owner)
        self._execution = get(watch.identity)
        self._require_log(self._execution)
        self._position, self._skip = self._begin(query) if query.with_log else (0, 0)
        self._caught_up = False
        self._stretched = False

    def _begin(self, query: FollowQuery) -> tuple[int, int]:
        """Find the place to begin at, and how many entries to pass over from there."""
        if query.after is not None:
            return query.after + 1, 0
        counts, start = self._execution.log_counts, query.start
        if self._sieve is not None:
            if query.tail is None:
                return 0, start
            tally = self._service.tallies.of(self._execution, self._sieve, self._owner)
            return tally.seek(max(0, tally.total - query.tail))
        total = count(counts, query.levels)
        if query.tail is not None:
            start = max(0, total - query.tail)
        if start >= total:
            return sum(counts), start - total
        number = self._execution.number
        page = self._journal.page(number, counts, query.levels, start, 1)
        return page[0].sequence, 0

    def events(self) -> Generator[Event | Idle, None, None]:
        """Yield each event when it happens, and ``Idle`` until then."""
        with self._changes.subscribe(self._execution.id) as subscription:
            try:
                for event in self._happenings(subscription):
                    yield event
                    if not isinstance(event, Changed | Idle):
                        self._rhythm.spoke()
            except Purged as exc:
                yield Expired(exc.message)
            except InvalidRequest as exc:  # the pattern takes too long here
                yield Expired(
                    " ".join([exc.message, *(f"{f.path} {f.message}" for f in exc.fields)])
                )
            except UpstreamError as exc:
                log.warning("stream broke off", execution=self._execution.id, error=exc.message)
                yield Moved(self._position)

    def _happenings(self, subscription: Subscription) -> Iterator[Event | Idle]:
        # Again, since only from the subscription on nothing is missed.
        self._watch.renew()
        execution = self._get(self._watch.identity)
        self._require_log(execution)
        yield StatusChanged(execution)
        shown, woken = execution.status, False
        while True:
            self._note(execution)
            yield from self._log(execution, subscription)
            if execution.status is not shown:
                shown = execution.status
                yield StatusChanged(execution)
            elif woken:
                yield Changed(execution)
            last = self._last(execution)
            if last is not None:
                self._require_whole(execution)
                yield last
                return
            # Woken by a change, by the time of a heartbeat or of a check, or by the service's end.
            # A change between the read above and this wait is not missed: the subscription counts.
            silence = min(self._rhythm.silence_left(), self._watch.seconds_left())
            yield Idle(subscription, silence)
            woken = subscription.has_changed()
            if not self._rhythm.silence_left() and not self._changes.closing:
                yield Heartbeat()
            if woken or self._changes.closing:
                execution = self._service.reads.latest(execution.id)

    def _require_log(self, execution: Execution) -> None:
        """Make sure that what is to be told is kept.

        Raises:
            Purged: It was removed.
        """
        if self._with_log:
            require_log(execution)

    def _require_whole(self, execution: Execution) -> None:
        """Make sure that what took several stretches to read was there all the while.

        Raises:
            Purged: It was removed meanwhile.
        """
        if self._stretched:
            require_log(self._service.reads.get(execution.id))

    def _note(self, execution: Execution) -> None:
        if not execution.status.final:
            self._service.notes.note(execution, self._settings.heartbeat)

    def _log(self, execution: Execution, subscription: Subscription) -> Iterator[Event | Idle]:
        """Yield the entries up to now, stretch by stretch."""
        if not self._with_log:
            self._position = execution.log_total
            return
        behind = execution.log_total - self._position
        if self._caught_up and self._sieve is None and behind > self._settings.max_lag:
            dropped = self._drop(execution)
            if dropped.count:
                yield dropped
        while self._position < execution.log_total and not self._changes.closing:
            key = StretchKey(
                execution.number, execution.log_counts, self._levels, self._position,
                owner=self._owner, task=self._task, grep=self._grep,
            )  # fmt: skip
            batch = self._pass_over(self._stretches.get(key))
            self._position = batch.next
            if batch.entries:
                yield batch
            elif not self._rhythm.silence_left():
                yield Heartbeat()  # in a long log little may match
            else:
                yield Idle(subscription, 0.0)  # so that what else is on the same stream goes on
            if self._position < execution.log_total:
                self._stretched = True
                with self._stretches.turns.turn(self._owner):
                    # Reading takes a turn by itself, but writing has to be paid for as well, above
                    # all where others had read the stretch already.
                    pass
        # A reader still on the way through an old log is not too slow, so none of it is dropped.
        self._caught_up |= behind <= STRETCH and not self._skip

    def _pass_over(self, batch: Batch) -> Batch:
        """Leave out entries before the index that was asked for, which lay in the future."""
        if not self._skip:
            return batch
        left, self._skip = batch.entries[self._skip :], max(0, self._skip - len(batch.entries))
        return Batch(left, batch.next)

    def _drop(self, execution: Execution) -> Dropped:
        first, self._position = self._position, execution.log_total - self._kept
        index = self._journal.index_of
        number, counts = execution.number, execution.log_counts
        missed = index(number, counts, self._levels, self._position) - index(
            number, counts, self._levels, first
        )
        return Dropped(missed, first, self._position)

    @property
    def _kept(self) -> int:
        """How many of the newest entries a reader gets who was too slow for the others."""
        return min(STRETCH, self._settings.max_lag)

    def _last(self, execution: Execution) -> Event | None:
        """Return the event that ends the stream, if it is time for one."""
        if execution.log_complete and self._position >= execution.log_total:
            return Ended(execution.status, execution.log_total)
        if self._changes.closing:
            return Moved(self._position)
        return self._expired()

    def _expired(self) -> Expired | None:
        """Check the reader if that is due; return the end of the stream if they must go."""
        try:
            if self._watch.check():
                self._get(self._watch.identity)
        except (NotFound, NotAuthenticated) as exc:
            return Expired(exc.message)
        except UpstreamError as exc:
            log.warning("reader cannot be checked", id=self._execution.id, error=exc.message)
        return None

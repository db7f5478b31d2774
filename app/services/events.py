"""Status changes of all executions, so that one connection serves a whole page."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from threading import Lock
from typing import cast

from app.domain import NO_BRIEF, Brief, ExecutionStatus, ExecutionSummary, Identity, Tombstone
from app.errors import NotAuthenticated
from app.services.access import Access, Caller
from app.services.follow import (
    Event,
    Expired,
    Heartbeat,
    Moved,
    Removed,
    Rhythm,
    StatusChanged,
)
from app.services.idle import Idle
from app.services.turns import Turns
from app.store.changes import Changes
from app.store.executions import Executions

_TOPIC = "statuses"
_REMEMBERED = 10_000
_OVERLAP = timedelta(seconds=10)
"""How much is told again to whoever comes back: a change may be stored later than its moment."""
_READ = 50
"""How many executions are read in one turn."""


@dataclass(frozen=True, slots=True)
class Briefed:
    """How an execution stands, and what lists say of it beside its state."""

    execution: ExecutionSummary
    brief: Brief

    @property
    def shown(self) -> tuple[ExecutionStatus, int, Brief]:
        """What of it a list shows: another one is news."""
        return self.execution.status, int(self.execution.progress * 100), self.brief


class EventService:
    """Streams status changes as they happen.

    The changes of the store are looked at once for all readers, and only while there are any.

    Args:
        executions: The executions in the store.
        changes: Wakes who waits.
        turns: Lets others act where there is much to tell.
        heartbeat_seconds: Longest silence.
        access: Says what a reader may see, and checks now and then that they may still read.
    """

    def __init__(
        self,
        executions: Executions,
        changes: Changes,
        turns: Turns,
        *,
        heartbeat_seconds: float,
        access: Access,
    ) -> None:
        self._executions = executions
        self._changes = changes
        self._turns = turns
        self._heartbeat_seconds = heartbeat_seconds
        self._access = access
        self._lock = Lock()
        self._recent: deque[StatusChanged | Briefed | Removed] = deque(maxlen=_REMEMBERED)
        self._count = 0
        self._known: OrderedDict[str, ExecutionStatus] = OrderedDict()
        self._briefs_wanted = 0
        self._briefed: OrderedDict[str, tuple[ExecutionStatus, int, Brief]] = OrderedDict()
        changes.observe(self._on_change)

    def steps(self, caller: Caller) -> Generator[Event | Idle, None, None]:
        """Stream the status of every execution that has not ended, then each change.

        Between them comes ``Idle`` where nothing is to be done.

        A reader who may have missed a change gets ``Moved``: they must begin again.

        Args:
            caller: Who reads; asked again now and then.
        """
        steps = self._steps(caller, None, briefly=False)
        return cast("Generator[Event | Idle, None, None]", steps)

    def brief_steps(
        self, caller: Caller, since: datetime | None = None
    ) -> Generator[Event | Briefed | Idle, None, None]:
        """Stream the same as :meth:`steps` with what lists say of each execution.

        ``Briefed`` comes in place of ``StatusChanged``, and also when the state stays but what
        lists say beside it does not.

        Args:
            caller: Who reads; asked again now and then.
            since: What ended since this moment, or somewhat earlier, is told at the beginning, too,
                as far as it is among the last that ended; see :meth:`Executions.ended_since`.
        """
        return self._steps(caller, since, briefly=True)

    def _steps(
        self, caller: Caller, since: datetime | None, *, briefly: bool
    ) -> Generator[Event | Briefed | Idle, None, None]:
        watch, rhythm = self._access.watch(caller(), caller), Rhythm(self._heartbeat_seconds)
        with self._changes.subscribe(_TOPIC) as subscription, self._wanting(briefly):
            position: int | None = self._count
            for told in self._at_first(watch.identity, since, briefly=briefly):
                self._take_turn(watch.identity)
                yield told
            while not self._changes.closing and position is not None:
                fresh, position = self._since(position)
                for event in fresh:
                    if isinstance(event, StatusChanged if briefly else Briefed):
                        continue
                    if self._access.lists(event.execution, watch.identity):
                        self._take_turn(watch.identity)
                        yield event
                        rhythm.spoke()
                try:
                    watch.check()
                except NotAuthenticated as exc:
                    yield Expired(exc.message)
                    return
                yield Idle(subscription, min(rhythm.silence_left(), watch.seconds_left()))
                subscription.has_changed()  # what has changed is in the list of all changes
                if not rhythm.silence_left() and not self._changes.closing:
                    yield Heartbeat()
                    rhythm.spoke()
        yield Moved(0)

    def _take_turn(self, identity: Identity) -> None:
        """Take a turn now and then, so that a long list of events delays nobody else."""
        with self._turns.turn(identity.username):
            pass

    @contextmanager
    def _wanting(self, briefly: bool) -> Iterator[None]:
        """Have briefs read on changes while somebody wants them."""
        with self._lock:
            self._briefs_wanted += briefly
        try:
            yield
        finally:
            with self._lock:
                self._briefs_wanted -= briefly

    def _at_first(
        self, identity: Identity, since: datetime | None, *, briefly: bool
    ) -> Iterator[StatusChanged | Briefed]:
        for some in self._stretches(identity, since):
            yield from self._briefs(some) if briefly else map(StatusChanged, some)

    def _briefs(self, some: Collection[ExecutionSummary]) -> list[Briefed]:
        briefs = self._executions.briefs(some)
        return [Briefed(each, briefs.get(each.id, NO_BRIEF)) for each in some]

    def _stretches(
        self, identity: Identity, since: datetime | None
    ) -> Iterator[list[ExecutionSummary]]:
        """List what ended since a moment, and what has not ended, some at a time."""
        owner, after, full = self._access.owner_listed(identity), 0, True
        if since is not None:
            ended = self._executions.ended_since(owner, since - _OVERLAP)
            for first in range(0, len(ended), _READ):
                yield ended[first : first + _READ]
        while full:
            some = self._executions.open(owner, after, _READ)
            yield some
            full = len(some) == _READ
            after = some[-1].number if some else after

    def _since(self, position: int) -> tuple[list[StatusChanged | Briefed | Removed], int | None]:
        """Return the changes from a position on, and the next position; None when some are lost."""
        with self._lock:
            number = self._count - position
            if number > len(self._recent):
                return [], None
            newest_first = list(islice(reversed(self._recent), number))
            return newest_first[::-1], self._count

    def _on_change(self, ids: Collection[str] | None) -> None:
        if not self._briefs_wanted:
            self._briefed.clear()
        if not self._changes.watched(_TOPIC):
            self._known.clear()
            return
        if ids is None:
            self._lose()
        else:
            changed = self._executions.get_many(ids)
            gone = set(ids) - {execution.id for execution in changed}
            self._tell(changed, self._executions.purged(gone) if gone else ())

    def _lose(self) -> None:
        """End all streams, so that readers begin again: changes were lost."""
        with self._lock:
            self._recent.clear()
            self._count += 1
        self._known.clear()
        self._briefed.clear()
        self._changes.publish([_TOPIC])

    def _tell(
        self, changed: Collection[ExecutionSummary], purged: Iterable[Tombstone] = ()
    ) -> None:
        fresh = [e for e in changed if self._known.get(e.id) is not e.status]
        news: list[StatusChanged | Briefed | Removed] = [StatusChanged(each) for each in fresh]
        news += self._newly_briefed(changed)
        news += [Removed(each) for each in purged]
        with self._lock:
            self._recent.extend(news)
            self._count += len(news)
        for execution in fresh:
            self._known[execution.id] = execution.status
            self._known.move_to_end(execution.id)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        if news:
            self._changes.publish([_TOPIC])

    def _newly_briefed(self, changed: Collection[ExecutionSummary]) -> list[Briefed]:
        """Return those that lists show otherwise than before, while somebody wants to know."""
        if not self._briefs_wanted or not changed:
            return []
        news = [e for e in self._briefs(changed) if self._briefed.get(e.execution.id) != e.shown]
        for each in news:
            self._briefed[each.execution.id] = each.shown
            self._briefed.move_to_end(each.execution.id)
        while len(self._briefed) > _REMEMBERED:
            self._briefed.popitem(last=False)
        return news

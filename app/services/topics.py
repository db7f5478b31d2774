"""Many topics on one stream: each goes on by itself, and one reader waits for them all.

What tells of a topic is a generator that yields ``Idle`` where it would wait. Here several of them
are one such generator, so that a stream of fifty topics is held like any other: without a thread,
and woken by any of them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.domain import Identity
from app.errors import NotAuthenticated, SlipwayError
from app.services.access import Access, Caller
from app.services.follow import Expired, Heartbeat, Moved, Rhythm
from app.services.idle import Idle, Line
from app.store.changes import Changes

E = TypeVar("E")

Steps = Generator[E | Idle, None, None]
Source = Callable[[Caller], Steps[E]]
"""Begins to tell of a topic to whoever is called; what it raises is told as an event."""

_SAME_CHECK = 0.1
"""Which part of the time between two checks of a reader one counts for all topics."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream has begun.

    Attributes:
        heartbeat_seconds: Its longest silence.
    """

    heartbeat_seconds: float


@dataclass(frozen=True, slots=True)
class AllEnded:
    """No topic can tell anything any more."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A topic cannot be followed, or not any more."""

    error: SlipwayError


@dataclass(frozen=True, slots=True)
class OfTopic(Generic[E]):
    """What happened in one topic.

    Attributes:
        topic: Its name.
    """

    topic: str
    event: E


class TopicService:
    """Puts topics together.

    Args:
        changes: Tells when this process stops.
        access: Checks now and then that a reader may still read.
        heartbeat_seconds: Longest silence.
        recheck_seconds: How often a reader is checked.
    """

    def __init__(
        self,
        changes: Changes,
        access: Access,
        *,
        heartbeat_seconds: float,
        recheck_seconds: float,
    ) -> None:
        self._changes = changes
        self._access = access
        self._heartbeat_seconds = heartbeat_seconds
        self._same_check_seconds = _SAME_CHECK * recheck_seconds

    def steps(
        self, sources: Iterable[tuple[str, Source[E]]], identity: Identity
    ) -> Steps[OfTopic[E | Refused] | Opened | Heartbeat | Moved | Expired | AllEnded]:
        """Tell of topics, one event of each in turn, until all have ended.

        Args:
            sources: What tells of which topic; several may tell of the same one.
            identity: Who reads; asked again now and then.

        Returns:
            The events, each when it happens; the last one is ``AllEnded``, ``Expired`` where the
            reader may read nothing more, or ``Moved`` where this process stops. Between them,
            ``Idle`` where nothing is to be done.
        """
        caller = _OneCheck(identity, self._access.caller(identity), self._same_check_seconds)
        ring: _Ring[E | Refused] = _Ring(
            [(topic, _guarded(source, caller)) for topic, source in sources]
        )
        rhythm = Rhythm(self._heartbeat_seconds)
        yield Opened(self._heartbeat_seconds)
        with closing(ring):
            while ring:
                for told in ring.round():
                    if caller.failure is not None:
                        yield Expired(caller.failure.message)
                        return
                    if not isinstance(told.event, Heartbeat):  # there is one for all
                        yield told
                        rhythm.spoke()
                if not rhythm.silence_left() and not self._changes.closing:
                    yield Heartbeat()
                    rhythm.spoke()
                if ring.is_idle:
                    yield Idle(ring, min(ring.seconds_left(), rhythm.silence_left()))
        yield Moved(0) if self._changes.closing else AllEnded()


class _OneCheck:
    """Checks a reader once for all topics that ask at about the same time.

    Attributes:
        failure: Why they may not read any more; None while they may.
    """

    def __init__(self, identity: Identity, caller: Caller, seconds: float) -> None:
        self._identity = identity
        self._caller = caller
        self._seconds = seconds
        self._checked_at = time.monotonic()
        self.failure: NotAuthenticated | None = None

    def __call__(self) -> Identity:
        """Return who the reader is by now.

        Raises:
            NotAuthenticated: Their credential does not hold any more.
        """
        if self.failure is not None:
            raise self.failure
        if time.monotonic() - self._checked_at >= self._seconds:
            try:
                self._identity = self._caller()
            except NotAuthenticated as exc:
                self.failure = exc
                raise
            self._checked_at = time.monotonic()
        return self._identity


def _guarded(source: Source[E], caller: Caller) -> Steps[E | Refused]:
    """Tell of a topic, also that it cannot be followed."""
    try:
        yield from source(caller)
    except SlipwayError as exc:
        yield Refused(exc)


class _Part(Generic[E]):
    """One topic, and what it waits for."""

    __slots__ = ("_due_at", "_idle", "_steps", "topic")

    def __init__(self, topic: str, steps: Steps[E]) -> None:
        self.topic = topic
        self._steps = steps
        self._idle: Idle | None = None
        self._due_at = 0.0

    @property
    def line(self) -> Line | None:
        """Where it waits; None if it does not."""
        return None if self._idle is None else self._idle.subscription

    def seconds_left(self) -> float:
        """Return the seconds until it goes on by itself."""
        return max(0.0, self._due_at - time.monotonic())

    def is_due(self) -> bool:
        """Return whether it can go on."""
        return self._idle is None or self._idle.subscription.is_behind() or not self.seconds_left()

    def go_on(self) -> E | None:
        """Return the next event; None when it has become idle.

        Raises:
            StopIteration: It is over.
        """
        self._idle = None
        event = next(self._steps)
        if not isinstance(event, Idle):
            return event
        self._idle, self._due_at = event, time.monotonic() + event.seconds
        return None

    def close(self) -> None:
        """End it."""
        self._steps.close()


class _Ring(Generic[E]):
    """Topics that take turns; a line for all their changes."""

    def __init__(self, parts: Sequence[tuple[str, Steps[E]]]) -> None:
        self._parts = deque(_Part(topic, steps) for topic, steps in parts)

    def __len__(self) -> int:
        return len(self._parts)

    def round(self) -> Iterator[OfTopic[E]]:
        """Let each one that can go on do so, up to its next event."""
        for _ in range(len(self._parts)):
            part = self._parts[0]
            if part.is_due():
                try:
                    event = part.go_on()
                except StopIteration:
                    self._parts.popleft()
                    continue
                if event is not None:
                    yield OfTopic(part.topic, event)
            self._parts.rotate(-1)

    @property
    def is_idle(self) -> bool:
        """Whether all of them wait."""
        return bool(self._parts) and all(part.line is not None for part in self._parts)

    def seconds_left(self) -> float:
        """Return the seconds until one of them goes on by itself."""
        return min(part.seconds_left() for part in self._parts)

    def is_behind(self) -> bool:
        """Return whether one of them can go on."""
        return any(part.is_due() for part in self._parts)

    def pause(self, timeout_seconds: float) -> None:
        """Wait until one of them can go on, or for so long."""
        woken = threading.Event()
        self.call(woken.set)
        try:
            woken.wait(timeout_seconds)
        finally:
            self.uncall(woken.set)

    def call(self, wake: Callable[[], None]) -> None:
        """Have a function called for each of them that can go on; see ``Subscription.call``."""
        for line in self._lines():
            line.call(wake)

    def uncall(self, wake: Callable[[], None]) -> None:
        """Have a function not called any more."""
        for line in self._lines():
            line.uncall(wake)

    def _lines(self) -> Iterator[Line]:
        return (part.line for part in self._parts if part.line is not None)

    def close(self) -> None:
        """End them all."""
        for part in self._parts:
            part.close()

"""How often executions of an upstream are looked at, and how many requests that may take."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.concurrency import Precedence
from app.settings.schema import Duration, Range, WholeNumber, setting

_REQUESTS_PER_LOOK = 2
_GROWTH = 0.25
_BURST = 4
_USABLE = 0.95
_LEAST_SHARE_OF_UNFOLLOWED = 0.25
# Threads wake late, and an interval is to be kept as what it is called: the most.
_PUNCTUAL = 0.97


@dataclass(frozen=True)
class PollOptions:
    """How often active executions are looked at."""

    min: float = setting(
        Duration(load_default="500ms", at_least=0.05),
        "Interval while somebody follows an execution, or something has just happened.",
    )
    max: float = setting(
        Duration(load_default="15s", at_least=0.05),
        "Interval that a quiet execution, which nobody follows, grows to.",
    )
    budget_per_second: int = setting(
        WholeNumber(load_default=20, validate=Range(min=1)),
        "Most requests per second that one conductor makes to watch all its executions.",
    )


class Budget:
    """Lets so many requests per second pass, in the order in which they come.

    Those that go first overtake the others, but for every fourth request where both wait.

    Args:
        per_second: Requests per second; after a pause a few may pass at once.

    Attributes:
        per_second: As given.
    """

    def __init__(self, per_second: float) -> None:
        self._interval = 1.0 / per_second
        self._changed = threading.Condition()
        self._first: deque[object] = deque()
        self._others: deque[object] = deque()
        self._precedence = Precedence()
        self._free_at = 0.0
        self._caller = threading.local()
        self._taken = 0
        self.per_second = per_second

    @contextmanager
    def going_first(self, wanted: bool) -> Iterator[None]:
        """Let the requests of this thread go first, if that is wanted."""
        self._caller.first = wanted
        try:
            yield
        finally:
            self._caller.first = False

    @property
    def taken(self) -> int:
        """How many have passed so far."""
        return self._taken

    def take(self) -> None:
        """Wait for the caller's turn."""
        me = object()
        first = getattr(self._caller, "first", False)
        with self._changed:
            (self._first if first else self._others).append(me)
            while (wait := self._seconds_for(me)) is None or wait > 0:
                self._changed.wait(wait)
            (self._first if first else self._others).popleft()
            self._precedence.went(first)
            now = time.monotonic()
            self._free_at = max(self._free_at, now - _BURST * self._interval) + self._interval
            self._taken += 1
            self._changed.notify_all()

    def _seconds_for(self, me: object) -> float | None:
        """Return the time until somebody may pass; None while it is the turn of another."""
        first = self._precedence.is_for_first(bool(self._first), bool(self._others))
        queue = self._first if first else self._others
        return self._free_at - time.monotonic() if queue[0] is me else None


class Pace:
    """Chooses when to look at an execution again.

    Args:
        options: The bounds.
        clock: Seconds that never run backwards.
    """

    def __init__(self, options: PollOptions, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._clock = clock
        self._lock = threading.Lock()
        self._seen_at: dict[str, float] = {}
        self._followed: set[str] = set()

    def pause(self, execution: str, *, followed: bool, quiet_seconds: float) -> float:
        """Return the seconds from this look at an execution to the next.

        A quiet one is looked at the less often the longer it has been quiet. Where so many are
        watched that this would exceed the budget, those that nobody follows wait longer, and the
        queue for the budget stays short for the others. A quarter of it is theirs in any case.

        Args:
            execution: Its id.
            followed: Somebody is waiting for news of it.
            quiet_seconds: Time since something last happened to it.
        """
        crowded = self._seconds_to_look_at_all(execution, followed)
        if followed:
            return self._options.min * _PUNCTUAL
        pause = min(quiet_seconds * _GROWTH, self._options.max)
        return max(pause, self._options.min * _PUNCTUAL, crowded)

    def forget(self, execution: str) -> None:
        """Stop counting an execution that has ended."""
        with self._lock:
            self._drop(execution)

    def _seconds_to_look_at_all(self, execution: str, followed: bool) -> float:
        """Estimate how long a round takes of those that nobody follows, seen lately."""
        now = self._clock()
        with self._lock:
            self._drop(execution)
            self._seen_at[execution] = now
            if followed:
                self._followed.add(execution)
            seconds = self._round_seconds()
            lately = now - 3 * max(self._options.max, seconds)
            while self._seen_at[oldest := next(iter(self._seen_at))] < lately:
                self._drop(oldest)
        return seconds

    def _drop(self, execution: str) -> None:
        self._seen_at.pop(execution, None)
        self._followed.discard(execution)

    def _round_seconds(self) -> float:
        usable = _USABLE * self._options.budget_per_second
        for_followed = len(self._followed) * _REQUESTS_PER_LOOK / self._options.min
        left = max(usable - for_followed, _LEAST_SHARE_OF_UNFOLLOWED * usable)
        return (len(self._seen_at) - len(self._followed)) * _REQUESTS_PER_LOOK / left

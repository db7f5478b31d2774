"""How often executions are looked at, and how many requests that may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from app.clients.alien4cloud.options import PollOptions

_REQUESTS_PER_LOOK = 2
_GROWTH = 0.25
_BURST = 4
_SHARE_OF_UNFOLLOWED = 0.85


class Budget:
    """Lets so many requests per second pass, in the order in which they come.

    Each caller is given the next free moment and sleeps until then, so none is overtaken.

    Args:
        per_second: Requests per second; after a pause a few may pass at once.
    """

    def __init__(self, per_second: float) -> None:
        self._interval = 1.0 / per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self) -> None:
        """Wait for the caller's turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(self._free_at, now - _BURST * self._interval)
            self._free_at = turn + self._interval
        if turn > now:
            time.sleep(turn - now)


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

    def pause(self, execution: str, *, followed: bool, quiet_seconds: float) -> float:
        """Give the seconds until the next look at an execution.

        A quiet one is looked at the less often the longer it has been quiet. Where so many are
        watched that this would exceed the budget, those that nobody follows wait longer, and the
        queue for the budget stays short for the others.

        Args:
            execution: Its id.
            followed: Somebody is waiting for news of it.
            quiet_seconds: Time since something last happened to it.
        """
        crowded = self._seconds_to_look_at_all(execution)
        if followed:
            return self._options.min
        pause = min(quiet_seconds * _GROWTH, self._options.max)
        return max(pause, self._options.min, crowded)

    def forget(self, execution: str) -> None:
        """Stop counting an execution that has ended."""
        with self._lock:
            self._seen_at.pop(execution, None)

    def _seconds_to_look_at_all(self, execution: str) -> float:
        """Estimate how long the budget needs for the executions that were looked at lately."""
        now = self._clock()
        share = _SHARE_OF_UNFOLLOWED * self._options.budget_per_second
        with self._lock:
            self._seen_at.pop(execution, None)
            self._seen_at[execution] = now
            seconds = len(self._seen_at) * _REQUESTS_PER_LOOK / share
            lately = now - 3 * max(self._options.max, seconds)
            while self._seen_at[oldest := next(iter(self._seen_at))] < lately:
                del self._seen_at[oldest]
        return seconds

"""Counting in sliding windows: so much in any minute, about, from two numbers for each counter.

A counter holds what was counted in the current window and in the one before, of which the part
counts that still lies within a window's length; what was counted in it is taken to be spread
evenly. At once at most the limit is let through; whoever uses it up at the end of a window gets it
back little by little over the next, so over any length of a window it is never more than twice the
limit. A window begins with the first request that it counts, so a limit of one is exact.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

WINDOW_SECONDS: Final = 60.0
"""Length of a window, in which requests are counted."""
MOST_COUNTERS: Final = 100_000
"""Those that are kept in memory, at some 250 bytes each; the longest untouched are forgotten."""

_MARGIN_SECONDS: Final = 0.01
"""What is waited beyond the moment at which something is let through again."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of one counter.

    Attributes:
        key: Names the counter.
        limit: The most in a window.
        cost: How much is to be counted; never more than the limit.
    """

    key: str
    limit: int
    cost: int


@dataclass(frozen=True, slots=True)
class Window:
    """A counter at a moment.

    Attributes:
        limit: The most in a window.
        previous: What was counted in the window before.
        current: What was counted in the current one.
        left_seconds: Until the end of the current one.
    """

    limit: int
    previous: int
    current: int
    left_seconds: float

    @property
    def counted(self) -> int:
        """What counts at the moment."""
        return weighed(self.previous, self.left_seconds) + self.current

    @property
    def remaining(self) -> int:
        """What can still be counted."""
        return max(0, self.limit - self.counted)

    def fits(self, cost: int) -> bool:
        """Return whether so much can be counted now."""
        return self.counted + cost <= self.limit

    def wait_seconds(self, cost: int) -> float:
        """Return in how many seconds so much can be counted, if nothing is meanwhile.

        Args:
            cost: At most the limit.
        """
        if self.fits(cost):
            return 0.0
        room = self.limit - cost - self.current
        if room >= 0:  # then the window before is in the way
            return self.left_seconds - (room + 1) * WINDOW_SECONDS / self.previous + _MARGIN_SECONDS
        full = (self.limit - cost + 1) * WINDOW_SECONDS / self.current
        return self.left_seconds + max(0.0, WINDOW_SECONDS - full) + _MARGIN_SECONDS


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of some demands.

    Attributes:
        granted: All of them fit and were counted; otherwise nothing was.
        windows: The counters afterwards, in the order of the demands.
    """

    granted: bool
    windows: tuple[Window, ...]


class Windows(Protocol):
    """Counters in sliding windows."""

    def take(self, demands: Sequence[Demand]) -> Taken | None:
        """Count all demands, or none of them where one does not fit.

        Returns:
            What became of them; None where nobody knows.
        """


def weighed(previous: int, left_seconds: float) -> int:
    """Return what still counts of the window before."""
    return math.floor(previous * left_seconds / WINDOW_SECONDS)


class _Counter:
    __slots__ = ("current", "ends_at", "previous")

    def __init__(self, now: float) -> None:
        self.previous = self.current = 0
        self.ends_at = now

    def advance(self, now: float) -> None:
        """Bring it up to date; without anything that counts, a window would begin now."""
        if now >= self.ends_at:
            recent = now < self.ends_at + WINDOW_SECONDS
            self.previous, self.current = (self.current, 0) if recent else (0, 0)
            self.ends_at += WINDOW_SECONDS
        if not self.current and not weighed(self.previous, self.ends_at - now):
            self.previous, self.ends_at = 0, now + WINDOW_SECONDS


class MemoryWindows:
    """The counters of one process, in memory.

    Args:
        most: How many are kept; beyond, the longest untouched are forgotten.
        clock: Seconds that only go forward.
    """

    def __init__(
        self, most: int = MOST_COUNTERS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._counters: OrderedDict[str, _Counter] = OrderedDict()

    def take(self, demands: Sequence[Demand]) -> Taken:
        """Count all demands, or none of them where one does not fit."""
        with self._lock:
            now = self._clock()
            counters = [self._counter(demand.key, now) for demand in demands]
            granted = all(
                _window(counter, demand, now).fits(demand.cost)
                for counter, demand in zip(counters, demands, strict=True)
            )
            if granted:
                for counter, demand in zip(counters, demands, strict=True):
                    counter.current += demand.cost
                    self._counters[demand.key] = counter
                    self._counters.move_to_end(demand.key)
                while len(self._counters) > self._most:
                    self._counters.popitem(last=False)
            pairs = zip(counters, demands, strict=True)
            return Taken(granted, tuple(_window(c, d, now) for c, d in pairs))

    def _counter(self, key: str, now: float) -> _Counter:
        counter = self._counters.get(key)
        if counter is None:
            counter = _Counter(now)
        counter.advance(now)
        return counter


def _window(counter: _Counter, demand: Demand, now: float) -> Window:
    return Window(demand.limit, counter.previous, counter.current, counter.ends_at - now)

"""What a web process has counted within the current minute, for the figures of the last hour."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

_STEP: Final = math.log(1.1)
"""Lags are counted in classes, each a tenth wider than the one below, so few numbers hold all."""
_SHARE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted.

    Attributes:
        requests: Requests answered.
        failures: Those of them that failed by our fault or an upstream's (5xx).
        streams: Streams open now.
        delivered: Deliveries of log entries to followers whose lag was measured.
        delivery_lag: Seconds within which 95 of 100 of these came, to a tenth; None without any.
        loop_lag: Most seconds by which the event loop ran late what was due.
    """

    requests: int
    failures: int
    streams: int
    delivered: int
    delivery_lag: float | None
    loop_lag: float


class Pulse:
    """Counts; nothing here waits, since each request does it."""

    def __init__(self) -> None:
        self._streams = 0
        self._begin()

    def _begin(self) -> None:
        self._requests = self._failures = 0
        self._loop_lag = 0.0
        self._lags: Counter[int] = Counter()

    def answered(self, status: int) -> None:
        """Count an answered request."""
        self._requests += 1
        if status >= 500:
            self._failures += 1

    def delivered(self, seconds: float) -> None:
        """Count a delivery that came so late."""
        self._lags[math.ceil(math.log(max(seconds * 1000, 1.0)) / _STEP)] += 1

    def ran_late(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self._loop_lag = max(self._loop_lag, seconds)

    def opened(self) -> None:
        """Count a stream that is open from now on."""
        self._streams += 1

    def closed(self) -> None:
        """Count one less."""
        self._streams -= 1

    def read(self) -> Counts:
        """Return what was counted since the last :meth:`turn`."""
        lags = self._lags.copy()
        return Counts(
            self._requests, self._failures, self._streams, lags.total(), _within(lags),
            self._loop_lag,
        )  # fmt: skip

    def turn(self) -> Counts:
        """Return it, and begin anew; what is open stays open."""
        counts = self.read()
        self._begin()
        return counts


def _within(lags: Counter[int]) -> float | None:
    """Return the seconds within which 95 of 100 of some lags are."""
    left = math.ceil(_SHARE * lags.total())
    for size in sorted(lags):
        left -= lags[size]
        if left <= 0:
            return math.exp(size * _STEP) / 1000
    return None

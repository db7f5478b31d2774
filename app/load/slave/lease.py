"""Until when a slave may make requests without having heard from its master.

A master gives the share of a slave to others when it has been silent for a while. So whoever was
cut off, or stood still, must have stopped by then, by a clock that goes on meanwhile: the time of a
lease begins when a message was *sent* that was answered, for the answer may have lain about.

Where the master itself has gone away, nobody gives anything to others, and the slave goes on alone
for a while.
"""

from __future__ import annotations

import time


def boot_seconds() -> float:
    """Return the seconds since the machine was started, those in which it slept among them.

    All processes of a machine have the same (clock_gettime(2), ``CLOCK_BOOTTIME``).
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_us() -> int:
    """Return the same in whole microseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class Lease:
    """What one slave may do; all times are those of :func:`boot_seconds`."""

    def __init__(self) -> None:
        self._leased_until = 0.0
        self._alone_until = 0.0

    @property
    def until(self) -> float:
        """When it ends."""
        return max(self._leased_until, self._alone_until)

    def holds(self, now: float) -> bool:
        """Return whether requests may be made."""
        return now < self.until

    def answered(self, sent_at: float, seconds: float) -> None:
        """Note that a message was answered.

        Args:
            sent_at: When it was sent.
            seconds: How long the master gives from then.
        """
        self._leased_until = max(self._leased_until, sent_at + seconds)

    def joined(self, sent_at: float, seconds: float) -> None:
        """Note that the master has taken the slave, which is not alone any more."""
        self._alone_until = 0.0
        self._leased_until = sent_at + seconds

    def left_alone(self, now: float, seconds: float) -> None:
        """Note that the master has closed the connection; it changes nothing where that is late.

        Args:
            now: When that was noticed.
            seconds: How long the slave may go on alone.
        """
        if self.holds(now) and not self._alone_until:
            self._alone_until = now + seconds

    def end(self) -> None:
        """End it at once."""
        self._leased_until = self._alone_until = 0.0

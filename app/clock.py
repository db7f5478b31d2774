"""Time that goes on evenly, although somebody sets the clock.

Durations and delays are measured by the time since the machine was started, sleep included
(``CLOCK_BOOTTIME``, clock_gettime(2)). All processes of one start of one machine have it in common,
which the kernel's boot id names (random(4)); where another one measured, only the clock can be
compared, and a duration is never negative.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def uptime() -> float:
    """Return the seconds since this machine was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def boot_id() -> str:
    """Return the name of this start of this machine."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment, by the clock and by what no clock is set by.

    Attributes:
        wall: Seconds since the epoch, UTC.
        uptime: Seconds since the machine was started that says so.
        boot_id: Which start of which machine.
    """

    wall: float
    uptime: float
    boot_id: str

    @classmethod
    def now(cls) -> Instant:
        """Return the present moment."""
        return cls(time.time(), uptime(), boot_id())

    @classmethod
    def by_clock(cls, wall: float) -> Instant:
        """Return a moment of which nothing is known but what the clock showed."""
        return cls(wall, 0.0, "")

    @property
    def wall_ms(self) -> int:
        """What the clock showed, in milliseconds since the epoch."""
        return round(self.wall * 1000)

    @classmethod
    def load(cls, stored: Any) -> Instant | None:
        """Read what :meth:`dump` gave; None for anything else."""
        match stored:
            case [int() | float() as wall, int() | float() as up, str() as boot]:
                return cls(wall, up, boot)
        return None

    def dump(self) -> list[float | str]:
        """Return it as a JSON value."""
        return [self.wall, self.uptime, self.boot_id]

    def after(self, seconds: float) -> Instant:
        """Return the moment so many seconds later."""
        return Instant(self.wall + seconds, self.uptime + seconds, self.boot_id)

    def elapsed(self) -> float:
        """Return the seconds since then; never less than 0."""
        return Instant.now().since(self)

    def since(self, before: Instant) -> float:
        """Return the seconds from an earlier moment to this one; never less than 0."""
        same = self.boot_id == before.boot_id
        return max(0.0, self.uptime - before.uptime if same else self.wall - before.wall)

    def left(self, most: float) -> float:
        """Return the seconds until then.

        Args:
            most: No more than that, whatever clocks say.
        """
        ours = self.boot_id == boot_id()
        left = self.uptime - uptime() if ours else self.wall - time.time()
        return min(max(0.0, left), most)

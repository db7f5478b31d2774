"""How the service was within the last hour, as series for charts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.store.figures import MINUTE, Minute


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart.

    Attributes:
        name: Stable word.
        label: What it is, for people.
        unit: In which its values are.
        values: One for each minute; None where it is not known.
    """

    name: str
    label: str
    unit: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """What all web processes counted, minute by minute.

    Attributes:
        begin: When the first minute began.
        minutes: Each minute that is over; None where nothing is known.
    """

    begin: datetime
    minutes: tuple[Minute | None, ...]

    @property
    def x(self) -> Sequence[int]:
        """When each minute began, in seconds since 1970."""
        begin, step = int(self.begin.timestamp()), int(MINUTE.total_seconds())
        return range(begin, begin + step * len(self.minutes), step)

    @property
    def series(self) -> list[Series]:
        """The lines of the charts."""
        return [
            Series(name, label, unit, tuple(None if m is None else read(m) for m in self.minutes))
            for name, label, unit, read in _SERIES
        ]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


_SERIES: Final[Sequence[tuple[str, str, str, Callable[[Minute], float | None]]]] = (
    ("requests", "Requests", "per minute", lambda minute: minute.requests),
    ("streams", "Streams open", "streams", lambda minute: minute.streams),
    ("delivery_lag", "Delivery lag, p95", "ms", lambda minute: _ms(minute.delivery_lag)),
    ("loop_lag", "Loop lag, worst", "ms", lambda minute: _ms(minute.loop_lag)),
    ("queue", "Waiting to begin", "executions", lambda minute: minute.queue),
    ("failures", "Failed requests", "per minute", lambda minute: minute.failures),
)
SERIES_NAMES: Final = tuple(name for name, *_ in _SERIES)

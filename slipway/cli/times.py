"""Times for people: in the local zone, and how long ago; ``TZ=UTC`` is the switch."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_DAY_SPAN: Final = timedelta(days=1)
_UNITS: Final = ((_DAY, "d", "day"), (_HOUR, "h", "h"), (_MINUTE, "m", "min"), (1, "s", "s"))


def span(seconds: float) -> str:
    """Return a duration as a table has it: ``41s``, ``3m``, ``2h``, ``5d``."""
    size, short, _ = _unit(seconds)
    return f"{max(0, int(seconds)) // size}{short}"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """Return how long ago something was: ``3 min ago``, ``2 days ago``, ``just now``."""
    seconds = ((now or datetime.now(moment.tzinfo)) - moment).total_seconds()
    if seconds < 1:
        return "just now"
    size, _, word = _unit(seconds)
    number = int(seconds) // size
    return f"{number} {word}{'s' if word == 'day' and number != 1 else ''} ago"


def clock(moment: datetime, now: datetime | None = None) -> str:
    """Return a moment in the local zone: ``09:14``, and with its date beyond a day."""
    local = moment.astimezone()
    distance = abs((now or datetime.now(moment.tzinfo)) - moment)
    return f"{local:%H:%M}" if distance < _DAY_SPAN else f"{local:%Y-%m-%d %H:%M}"


def stamp(moment: datetime) -> str:
    """Return a moment in the local zone to the millisecond, as logs have it."""
    return moment.astimezone().isoformat(" ", "milliseconds")[:23]


def _unit(seconds: float) -> tuple[int, str, str]:
    return next((unit for unit in _UNITS if seconds >= unit[0]), _UNITS[-1])

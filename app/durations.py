"""Durations as Go writes them: ``500ms``, ``90s``, ``1m30s``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_NANOSECONDS: Final = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
    "\N{MICRO SIGN}s": 1_000,
    "\N{GREEK SMALL LETTER MU}s": 1_000,
}
_UNITS: Final = "|".join(sorted(_NANOSECONDS, key=len, reverse=True))  # "ms" before "m"
_PART: Final = re.compile(rf"([0-9]+\.?[0-9]*|\.[0-9]+)({_UNITS})")
_DURATION: Final = re.compile(rf"([-+]?)(0|(?:{_PART.pattern})+)")
_LONGEST_NANOSECONDS: Final = 2**63 - 1


def parse_duration(text: str) -> float:
    """Read a duration, by the grammar of Go's ``time.ParseDuration``.

    Source: https://pkg.go.dev/time#ParseDuration (Go 1.23).

    Args:
        text: Decimal numbers with a unit each (``h m s ms us ns``) and perhaps a sign in front,
            such as ``1h15m``, ``1.5h`` or ``-3s``; without a unit, only ``0``.

    Returns:
        Seconds; negative where the sign is.

    Raises:
        ValueError: The text is not a duration, or one of more than 292 years.
    """
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError("must be a duration such as 500ms, 90s or 1m30s")
    nanoseconds = sum(
        (Decimal(number) * _NANOSECONDS[unit] for number, unit in _PART.findall(text)), Decimal()
    )
    if nanoseconds > _LONGEST_NANOSECONDS:
        raise ValueError("must be a duration of at most 292 years")
    seconds = float(nanoseconds / _NANOSECONDS["s"])
    return -seconds if match[1] == "-" else seconds


def format_duration(seconds: float) -> str:
    """Write a duration such that :func:`parse_duration` reads it, to the nanosecond.

    Args:
        seconds: A finite number.

    Returns:
        The shortest usual form: ``1h``, ``1m30s``, ``1.5s``, ``250ms``, ``0s``.
    """
    nanoseconds = round(abs(seconds) * _NANOSECONDS["s"])
    if not nanoseconds:
        return "0s"
    text = "-" if seconds < 0 else ""
    for unit in ("h", "m"):
        count, nanoseconds = divmod(nanoseconds, _NANOSECONDS[unit])
        text += f"{count}{unit}" if count else ""
    if nanoseconds:
        unit = next(unit for unit, size in _NANOSECONDS.items() if size <= nanoseconds)
        text += f"{Decimal(nanoseconds) / _NANOSECONDS[unit]:f}{unit}"
    return text

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
DURATION_PATTERN: Final = rf"0|(?:{_PART.pattern})+"
"""What durations have without a sign; no text of this form is another one."""
_DURATION: Final = re.compile(rf"([-+]?)({DURATION_PATTERN})")
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
    return float(_nanoseconds(text) / _NANOSECONDS["s"])


def parse_go_duration(text: str) -> int:
    """Read a duration as :func:`parse_duration` does, in microseconds.

    Returns:
        Microseconds; what is between two of them is rounded to the nearest.

    Raises:
        ValueError: As :func:`parse_duration`.
    """
    return round(_nanoseconds(text) / _NANOSECONDS["us"])


def _nanoseconds(text: str) -> Decimal:
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError("must be a duration such as 500ms, 90s or 1m30s")
    nanoseconds = sum(
        (Decimal(number) * _NANOSECONDS[unit] for number, unit in _PART.findall(text)), Decimal()
    )
    if nanoseconds > _LONGEST_NANOSECONDS:
        raise ValueError("must be a duration of at most 292 years")
    return -nanoseconds if match[1] == "-" else nanoseconds


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


def format_go_duration(microseconds: int, digits: int | None = None) -> str:
    """Write a duration as Go's ``Duration.String`` does.

    Source: https://pkg.go.dev/time#Duration.String (Go 1.23).

    Args:
        microseconds: The duration.
        digits: Significant digits to which it is rounded first; None for all of them.

    Returns:
        Such as ``849\N{MICRO SIGN}s``, ``51.231ms``, ``1.006s``, ``5m0s``, ``1h0m0.5s`` and ``0s``.
    """
    left = abs(microseconds)
    if digits is not None:
        left = round(left, min(0, digits - len(str(left))))
    sign = "-" if microseconds < 0 and left else ""
    if left < _MICROSECONDS["ms"]:
        return f"{sign}{left}\N{MICRO SIGN}s" if left else "0s"
    if left < _MICROSECONDS["s"]:
        return f"{sign}{_decimal(left, _MICROSECONDS['ms'])}ms"
    minutes, left = divmod(left, _MICROSECONDS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{text}{_decimal(left, _MICROSECONDS['s'])}s"


_MICROSECONDS: Final = {unit: size // 1000 for unit, size in _NANOSECONDS.items()}  # of each unit


def _decimal(count: int, size: int) -> str:
    """Write ``count / size``, exactly, where ``size`` is a power of ten."""
    whole, rest = divmod(count, size)
    return f"{whole}.{rest:0{len(str(size)) - 1}}".rstrip("0").rstrip(".")

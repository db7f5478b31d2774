"""What pages call states, and how they write moments, durations and sizes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from markupsafe import Markup, escape

from app.resources._api import iso

_MINUTE, _HOUR, _DAY = 60, 3600, 86400  # seconds
_UNKNOWN: Final = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Word:
    """What a state is called, and how it looks.

    Attributes:
        kind: Its shape and its colour: the name of a symbol of ``_parts/macros.html``, and of a
            class of the style sheet.
    """

    text: str
    kind: str


STATUSES: Final[Mapping[str, Word]] = MappingProxyType(
    {
        "PENDING": Word("Waiting", "waiting"),
        "RUNNING": Word("Running", "running"),
        "PAUSED": Word("Paused", "paused"),
        "CANCELLING": Word("Cancelling", "unsettled"),
        "UNKNOWN": Word("Unknown", "unknown"),
        "SUCCESS": Word("Succeeded", "good"),
        "FAILED": Word("Failed", "bad"),
        "CANCELLED": Word("Cancelled", "cancelled"),
        "SKIPPED": Word("Not run", "cancelled"),
    }
)
"""The states of executions and of tasks."""


def moment(value: datetime | None, *, form: str = "ago") -> Markup | str:
    """Write a moment as a ``time`` element, which a script writes in the reader's own words.

    Args:
        value: The moment.
        form: ``ago`` for "3 min ago" beside the whole on hovering, ``full`` for date and time.
    """
    if value is None:
        return _UNKNOWN
    text = value.astimezone(UTC).strftime("%b %-d, %Y, %H:%M:%S UTC")
    return Markup('<time datetime="{}" data-form="{}" title="{}">{}</time>').format(
        iso(value), form, text, text if form == "full" else _ago(value)
    )


def duration(seconds: float | None) -> str:
    """Write a duration: ``6 ms``, ``4.2 s``, ``3 min 07 s``, ``1 h 04 min`` or ``2 d 3 h``."""
    if seconds is None:
        return _UNKNOWN
    seconds = max(0.0, seconds)
    if 0 < round(seconds * 1000) < 1000:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        text = f"{seconds:.1f}"
        return f"{text} s" if text != "60.0" else "1 min 00 s"
    whole = int(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def size(number: float | None) -> str:
    """Write a number of bytes, such as ``1.5 MiB``."""
    if number is None:
        return _UNKNOWN
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def number(value: float | None) -> str:
    """Write a number with its digits in groups."""
    return _UNKNOWN if value is None else f"{value:,}"


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Write a value as JSON, for people."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def took(started_at: datetime | None, finished_at: datetime | None) -> Markup | str:
    """Write how long something took, or takes by now, which a script keeps up to date."""
    if started_at is None:
        return _UNKNOWN
    if finished_at is not None:
        return duration((finished_at - started_at).total_seconds())
    text = duration((datetime.now(UTC) - started_at).total_seconds())
    return Markup('<span data-since="{}">{}</span>').format(iso(started_at), escape(text))


def _ago(value: datetime) -> str:
    """Write how long ago a moment was; from a day on, the moment itself."""
    seconds = (datetime.now(UTC) - value).total_seconds()
    if seconds < 10:
        return "just now"
    if seconds < _MINUTE:
        return f"{int(seconds)} s ago"
    if seconds < _HOUR:
        return f"{int(seconds) // _MINUTE} min ago"
    if seconds < _DAY:
        return f"{int(seconds) // _HOUR} h ago"
    return value.astimezone(UTC).strftime("%b %-d, %H:%M UTC")


FILTERS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "moment": moment,
        "duration": duration,
        "size": size,
        "number": number,
        "as_json": as_json,
    }
)

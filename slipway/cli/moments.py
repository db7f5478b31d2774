"""Moments as people type them: ``2h``, ``3d``, ``1h30m``, a date, or a date and a time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import click

_PARTS: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d|w)")
_NUMBER: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_MOST_SECONDS: Final = 100 * 366 * 86400.0
"""No span is longer: what is meant by more is all there is."""


class Span(click.ParamType[float]):
    """A duration, in seconds."""

    name = "duration"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds = span_of(value, bare=True)
        if seconds is None:
            self.fail(f"'{value}' is no duration such as 30s, 10m or 1h30m", param, ctx)
        return seconds


class Since(click.ParamType[datetime]):
    """A moment in the past, aware of its zone: that of this machine, unless it says another."""

    name = "moment"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        seconds = span_of(value)
        if seconds is not None:
            return (datetime.now().astimezone() - timedelta(seconds=seconds)).astimezone()
        try:
            return datetime.fromisoformat(value.strip()).astimezone()
        except (ValueError, OverflowError):
            self.fail(
                f"'{value}' is neither a span such as 2h or 3d nor a date such as 2026-11-26",
                param, ctx,
            )  # fmt: skip


def span_of(text: str, *, bare: bool = False) -> float | None:
    """Return the seconds of a span such as ``1h30m``; None where it is none.

    Args:
        text: As it was typed.
        bare: Whether a number alone is one, of seconds.
    """
    written = text.strip().lower()
    if bare and _NUMBER.fullmatch(written):
        return min(float(written), _MOST_SECONDS)
    if not written or _PARTS.sub("", written):
        return None
    return min(sum(float(n) * _SECONDS[unit] for n, unit in _PARTS.findall(written)), _MOST_SECONDS)

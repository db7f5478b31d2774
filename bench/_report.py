"""Figures, and the table that they are printed in."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("gevent", "Flask", "flask-smorest", "SQLAlchemy", "orjson", "psycopg")
_HEADINGS = ("figure", "value", "goal", "ratio", "verdict", "note")


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured.

    Attributes:
        value: The measurement in ``unit``; None when it could not be taken, and ``note`` says why.
        most: Goal: not more than this.
        least: Goal: not less than this.
        ratio: ``value`` divided by that of ``beside``, measured in the same run; None where that
            was not measured.
        most_ratio: Goal for the ratio: not more than this.
        least_ratio: Goal for the ratio: not less than this.
    """

    name: str
    value: float | None
    unit: str = ""
    most: float | None = None
    least: float | None = None
    ratio: float | None = None
    beside: str = ""
    most_ratio: float | None = None
    least_ratio: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """``ok`` or ``MISSED``; nothing where there is no goal, or nothing to compare with."""
        if self.value is None:
            return "skipped"
        if not self._goals() or (self.beside and self.ratio is None):
            return ""
        kept = _within(self.value, self.least, self.most)
        return "ok" if kept and _within(self.ratio, self.least_ratio, self.most_ratio) else "MISSED"

    def cells(self) -> tuple[str, ...]:
        """Return the columns of the table."""
        value = "-" if self.value is None else f"{_number(self.value)} {self.unit}".strip()
        ratio = f"{self.beside}: not measured" if self.beside else ""
        if self.ratio is not None:
            ratio = f"{_number(self.ratio)} x {self.beside}"
        goals = ", ".join(self._goals())
        return (self.name, value, goals, ratio, self.verdict, self.note)

    def _goals(self) -> list[str]:
        goals = []
        for sign, bound, unit in (
            ("≤", self.most, self.unit), ("≥", self.least, self.unit),
            ("≤", self.most_ratio, "x"), ("≥", self.least_ratio, "x"),
        ):  # fmt: skip
            if bound is not None:
                goals.append(f"{sign} {_number(bound)} {unit}".strip())
        return goals


def _within(value: float | None, least: float | None, most: float | None) -> bool:
    if value is None:
        return True
    return (least is None or value >= least) and (most is None or value <= most)


def _number(value: float) -> str:
    """Write three digits that mean something."""
    if value == 0 or abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def median(values: Iterable[float]) -> float:
    """Return the middle of the values."""
    return statistics.median(values)


def machine() -> list[str]:
    """Name the machine and the versions, a line for each."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in _lines("/proc/cpuinfo")
            if "model name" in line
        ),
        platform.machine(),
    )
    memory_kib = int(
        next(line.split()[1] for line in _lines("/proc/meminfo") if "MemTotal" in line)
    )
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return [
        f"{cpu}, {os.cpu_count()} cores, {memory_kib / 2**20:.0f} GiB, {platform.platform()}",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {libraries}",
    ]


def load() -> str:
    """Return how busy the machine is: over the last minute, and over one second now."""
    before = _cpu_times()
    time.sleep(1)
    after = _cpu_times()
    spent = [b - a for a, b in zip(before, after, strict=True)]
    idle = (spent[3] + spent[4]) / max(1, sum(spent))
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{moment}, load average {os.getloadavg()[0]:.2f}, {1 - idle:.0%} of the cores in use"


def _cpu_times() -> list[int]:
    return [int(field) for field in _lines("/proc/stat")[0].split()[1:9]]


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def text_row(figure: Figure) -> str:
    """Write a figure for a terminal."""
    name, value, goal, ratio, verdict, note = figure.cells()
    return f"{name:<58} {value:>16}  {goal:<20} {ratio:<28} {verdict:<7} {note}".rstrip()


def markdown(figures: Iterable[Figure]) -> str:
    """Write figures as a Markdown table."""
    rows: list[tuple[str, ...]] = [_HEADINGS, ("---", "---:", "---", "---", "---", "---")]
    rows += [figure.cells() for figure in figures]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)

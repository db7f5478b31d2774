"""What must hold of measures, such as ``p(95) < 500`` of ``http_req_duration``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from app.load import histogram
from app.load.histogram import Counts
from app.load.measures import Report

_DURATIONS: Final = ("p(N)", "avg", "min", "max", "med")
_STATISTICS: Final[Mapping[str, tuple[str, ...]]] = {
    "http_req_duration": _DURATIONS,
    "http_req_failed": ("rate", "count"),
    "http_reqs": ("count", "rate"),
    "iterations": ("count", "rate"),
    "iteration_duration": _DURATIONS,
    "vus": ("value", "max"),
    "duration": _DURATIONS,
    "failure_rate": ("rate", "value"),
}
_OF_STEPS: Final = ("duration", "failure_rate")
_OF_ALL: Final = tuple(name for name in _STATISTICS if name not in _OF_STEPS)
_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_LONGEST: Final = 500
_METRIC: Final = re.compile(r"([a-z_]+)\{\s*step\s*:\s*([^{}]*[^{}\s])\s*\}")
_NUMBER: Final = r"[0-9]{1,30}(?:\.[0-9]{1,30})?"
_CONDITION: Final = re.compile(
    rf"\s*(?:p\s*\(\s*(?P<percent>{_NUMBER})\s*\)|(?P<name>[a-z]+))\s*"
    rf"(?P<operator>[<>]=?|[=!]=)\s*(?P<number>[-+]?{_NUMBER}(?:[eE][-+]?[0-9]{{1,2}})?)\s*"
)


class ThresholdFault(ValueError):
    """A threshold that cannot be read.

    Attributes:
        field: ``metric`` or ``condition``.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Check:
    """A threshold that was read.

    Attributes:
        metric: One of those that have statistics.
        step: The id of the one step that it is about; None for all.
        statistic: What is compared: ``p`` with a ``percent``, or the name of another.
        percent: From 0 to 100.
        operator: How the statistic and the number are compared.
        number: Milliseconds, for durations; a share from 0 to 1, for rates of failures; so many a
            second of running, for other rates.
    """

    metric: str
    step: str | None
    statistic: str
    percent: float
    operator: str
    number: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a threshold holds.

    Attributes:
        passed: False also where nothing was measured.
        value: What was compared; 0 where nothing was measured. Always finite.
        measured: Whether anything was.
    """

    passed: bool
    value: float
    measured: bool = True


_NOTHING: Final = Judgement(passed=False, value=0, measured=False)


def parse_threshold(metric: str, condition: str) -> Check:
    """Read a threshold. Spaces between its parts mean nothing.

    Args:
        metric: ``http_req_duration``, ``http_req_failed``, ``http_reqs``, ``iterations``,
            ``iteration_duration`` or ``vus``; the first five of one step with ``{step:ID}`` behind;
            or ``ID.duration`` or ``ID.failure_rate`` of a step. Whether there is such a step is for
            the caller to check.
        condition: A statistic that the metric has, a comparison and a number.

    Raises:
        ThresholdFault: One of the two cannot be read.
    """
    name, step = _read_metric(metric.strip())
    match = _CONDITION.fullmatch(condition) if len(condition) <= _LONGEST else None
    if match is None:
        raise ThresholdFault(
            "condition", "must be a statistic, one of < <= > >= == != and a number: p(95) < 500"
        )
    percent = match["percent"]
    if percent is not None and float(percent) > 100:
        raise ThresholdFault("condition", "must have a percentile between p(0) and p(100)")
    statistic = match["name"] if percent is None else "p"
    known = _STATISTICS[name]
    if (statistic if percent is None else "p(N)") not in known:
        raise ThresholdFault("condition", f"must begin with {_one_of(known)} for {name}")
    return Check(
        name, step, statistic, float(percent or 0), match["operator"], float(match["number"])
    )


def _read_metric(metric: str) -> tuple[str, str | None]:
    if metric in _OF_ALL:
        return metric, None
    if (match := _METRIC.fullmatch(metric)) and match[1] in _OF_ALL and len(metric) <= _LONGEST:
        if match[1] == "vus":
            raise ThresholdFault("metric", "must not name a step for vus, which are of all steps")
        return match[1], match[2]
    step, _, name = metric.rpartition(".")
    if step and name in _OF_STEPS:
        return name, step
    raise ThresholdFault(
        "metric",
        f"must be {_one_of(_OF_ALL)}, perhaps with {{step:ID}} behind, or ID.duration or "
        "ID.failure_rate",
    )


def _one_of(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def judge(check: Check, report: Report) -> Judgement:
    """Compare what was measured in all with what must hold.

    Args:
        check: What must hold.
        report: Of all tasks together. ``running_us`` is what rates are taken over, ``vus`` and
            ``vus_max`` are what is compared as such.
    """
    value = _value(check, report)
    if value is None or not math.isfinite(value):
        return _NOTHING
    return Judgement(_OPERATORS[check.operator](value, check.number), value)


def _value(check: Check, report: Report) -> float | None:
    """Return what is to be compared; None if nothing was measured."""
    if check.metric == "vus":
        if not report["vus_max"]:
            return None
        return report["vus"] if check.statistic == "value" else report["vus_max"]
    durations, failed = _measured(check, report)
    if not durations["n"]:
        return None
    if check.metric in {"http_req_failed", "failure_rate"}:
        return failed if check.statistic == "count" else failed / durations["n"]
    if check.metric in {"http_reqs", "iterations"}:
        return durations["n"] if check.statistic == "count" else _rate(durations["n"], report)
    return _milliseconds(check, durations)


def _measured(check: Check, report: Report) -> tuple[Counts, int]:
    """Return the durations that a threshold is about, and how many of them are of failures."""
    if check.step is not None:
        step = report["steps"].get(check.step)
        return (step["duration"], step["failure"]) if step else (histogram.nothing(), 0)
    if check.metric in {"iterations", "iteration_duration"}:
        return report["iteration"], report["failed"]
    return report["requests"], report["requests"]["failed"]


def _rate(count: int, report: Report) -> float | None:
    return count * 1_000_000 / report["running_us"] if report["running_us"] else None


def _milliseconds(check: Check, durations: Counts) -> float:
    microseconds = {
        "p": lambda: histogram.quantile(durations, check.percent / 100),
        "med": lambda: histogram.quantile(durations, 0.5),
        "avg": lambda: histogram.mean(durations),
        "min": lambda: float(durations["min"]),
        "max": lambda: float(durations["max"]),
    }[check.statistic]()
    return microseconds / 1000

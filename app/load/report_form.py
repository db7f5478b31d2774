"""The form of a report: what a slave must write, checked before anything is done with it.

A report holds nothing else afterwards, and only numbers that can be added up. What takes long goes
over whole histograms at once: one message may hold a hundred thousand numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.domain import JSON

MOST_ERRORS: Final = 20
"""Kinds of errors of one report."""

_LARGEST: Final = 2**53 - 1
_COUNTS: Final = (
    "claimed", "iterations", "failed", "interrupted", "dropped", "vus", "vus_max",
    "completed_vus", "running_us",
)  # fmt: skip
_STEP_COUNTS: Final = ("count", "success", "failure")
_ERROR_COUNTS: Final = ("first_ms", "count")
_LONGEST_ID: Final = 255
_LONGEST_MESSAGE: Final = 1000
_LONGEST_BUCKET: Final = 5


class WrongReport(Exception):
    """A report is not of the form; the text begins with the place, such as ``.steps``."""


def checked_report(value: JSON) -> dict[str, JSON]:
    """Return a report without anything that does not belong there.

    Raises:
        WrongReport: Something is missing, or of another kind.
    """
    report = _object(value, "")
    return {
        **_counts(report, _COUNTS, ""),
        "ended": _boolean(report.get("ended"), ".ended"),
        "iteration": _histogram(report.get("iteration"), ".iteration"),
        "requests": {
            **_histogram(report.get("requests"), ".requests"),
            **_counts(_object(report.get("requests"), ".requests"), ("failed",), ".requests"),
        },
        "steps": {
            _text(id_, ".steps", _LONGEST_ID): _step(step)
            for id_, step in _object(report.get("steps"), ".steps").items()
        },
        "errors": _errors(report.get("errors")),
    }


def _object(value: JSON, place: str) -> Mapping[str, JSON]:
    if not isinstance(value, dict):
        raise WrongReport(f"{place} must be an object")
    return value


def _boolean(value: JSON, place: str) -> bool:
    if not isinstance(value, bool):
        raise WrongReport(f"{place} must be true or false")
    return value


def _text(value: JSON, place: str, most: int) -> str:
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        raise WrongReport(f"{place} must hold texts of at most {most} characters")
    return value


def _counts(values: Mapping[str, JSON], names: tuple[str, ...], place: str) -> dict[str, int]:
    found = {name: values.get(name) for name in names}
    for name, value in found.items():
        if type(value) is not int or not 0 <= value <= _LARGEST:
            raise WrongReport(f"{place}.{name} must be a whole number from 0 to {_LARGEST}")
    return found  # type: ignore[return-value]  # as was just found out


def _histogram(value: JSON, place: str) -> dict[str, JSON]:
    """Check a histogram of :mod:`app.load.histogram`, and that its buckets hold what it counts."""
    histogram = _object(value, place)
    counts = _counts(histogram, ("n", "sum"), place)
    edges = {name: histogram.get(name) for name in ("min", "max")}
    if any(edge is not None for edge in edges.values()) or counts["n"]:
        edges = dict(_counts(histogram, ("min", "max"), place))
    buckets = _object(histogram.get("b"), f"{place}.b")
    numbers, names = buckets.values(), "".join(buckets)
    good = not buckets or (
        names.isascii()
        and names.isdecimal()
        and min(map(len, buckets)) > 0
        and max(map(len, buckets)) <= _LONGEST_BUCKET
        and set(map(type, numbers)) == {int}
        and min(numbers) > 0
    )
    if not good or sum(numbers) != counts["n"]:
        raise WrongReport(f"{place}.b must hold {counts['n']} values in numbered buckets")
    return {**counts, **edges, "b": buckets}


def _step(value: JSON) -> dict[str, JSON]:
    step = _object(value, ".steps{}")
    return {
        **_counts(step, _STEP_COUNTS, ".steps{}"),
        "duration": _histogram(step.get("duration"), ".steps{}.duration"),
    }


def _errors(value: JSON) -> list[JSON]:
    if not isinstance(value, list) or len(value) > MOST_ERRORS:
        raise WrongReport(f".errors must be a list of at most {MOST_ERRORS}")
    return [_error(_object(each, ".errors[]")) for each in value]


def _error(error: Mapping[str, JSON]) -> dict[str, JSON]:
    step = error.get("step_id")
    return {
        "code": _text(error.get("code"), ".errors[].code", _LONGEST_ID),
        "message": _text(error.get("message"), ".errors[].message", _LONGEST_MESSAGE),
        "step_id": None if step is None else _text(step, ".errors[].step_id", _LONGEST_ID),
        **_counts(error, _ERROR_COUNTS, ".errors[]"),
    }

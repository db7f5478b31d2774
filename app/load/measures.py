"""What virtual users have done so far: reports of tasks, which merge exactly and are JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypedDict

from app.load import histogram
from app.load.histogram import Counts, is_count

MOST_KINDS: Final = 20
"""Kinds of errors that a report of one task tells apart; those behind are counted together."""
MOST_STEPS: Final = 10_000
"""Steps in one report."""

_LONGEST_TEXT: Final = 500


class Requests(Counts):
    """How long http requests took, and how many failed."""

    failed: int


class StepCounts(TypedDict):
    """How often a step ran: ``count`` is the sum of ``success`` and ``failure``."""

    count: int
    success: int
    failure: int
    duration: Counts


class ErrorKind(TypedDict):
    """Errors of one kind.

    Attributes:
        step_id: Empty if no step is to blame.
        first_ms: When the first one came, in milliseconds since 1970.
    """

    code: str
    message: str
    step_id: str
    first_ms: int
    count: int


class Report(TypedDict):
    """All that was counted since a task began, in JSON.

    Attributes:
        claimed: Iterations that were begun.
        iterations: Those that came to their end, failed ones too.
        failed: How many of these failed.
        interrupted: Those that were cut before their end, which count in no other way.
        dropped: Those that were due, but found no free virtual user.
        vus: Virtual users at the moment.
        vus_max: The most at any moment; of several tasks the sum, which may be more than there
            ever were at once.
        completed_vus: Virtual users that have come to their end.
        running_us: How long the execution has been running, without pauses; of several tasks the
            longest.
        ended: Nothing runs any more, nor will unless more is asked for; of several tasks, all.
        iteration: How long whole iterations took.
        steps: Each step that ran, by its id.
        errors: Their kinds, by when they came.
    """

    claimed: int
    iterations: int
    failed: int
    interrupted: int
    dropped: int
    vus: int
    vus_max: int
    completed_vus: int
    running_us: int
    ended: bool
    iteration: Counts
    requests: Requests
    steps: dict[str, StepCounts]
    errors: list[ErrorKind]


_SUMS: Final = (
    "claimed", "iterations", "failed", "interrupted", "dropped", "vus", "vus_max", "completed_vus",
)  # fmt: skip
_STEP_SUMS: Final = ("count", "success", "failure")


def empty(*, ended: bool = False) -> Report:
    """Return a report of nothing: of a task that has not begun.

    Args:
        ended: It never will; such a report changes none that it is merged with.
    """
    return {
        "claimed": 0,
        "iterations": 0,
        "failed": 0,
        "interrupted": 0,
        "dropped": 0,
        "vus": 0,
        "vus_max": 0,
        "completed_vus": 0,
        "running_us": 0,
        "ended": ended,
        "iteration": histogram.nothing(),
        "requests": {**histogram.nothing(), "failed": 0},
        "steps": {},
        "errors": [],
    }


def merge(reports: Iterable[Report]) -> Report:
    """Return what several tasks have done together, whatever their order and grouping.

    No error is left out: see :func:`with_few_errors`.
    """
    given = list(reports)
    total = empty(ended=all(report["ended"] for report in given))
    for name in _SUMS:
        total[name] = sum(report[name] for report in given)
    total["running_us"] = max((report["running_us"] for report in given), default=0)
    total["iteration"] = histogram.merged(report["iteration"] for report in given)
    total["requests"] = {
        **histogram.merged(report["requests"] for report in given),
        "failed": sum(report["requests"]["failed"] for report in given),
    }
    total["steps"] = _merged_steps(given)
    total["errors"] = _merged_errors(error for report in given for error in report["errors"])
    return total


def _merged_steps(reports: Iterable[Report]) -> dict[str, StepCounts]:
    found: dict[str, list[StepCounts]] = {}
    for report in reports:
        for step, counts in report["steps"].items():
            found.setdefault(step, []).append(counts)
    return {
        step: {
            "count": sum(one["count"] for one in several),
            "success": sum(one["success"] for one in several),
            "failure": sum(one["failure"] for one in several),
            "duration": histogram.merged(one["duration"] for one in several),
        }
        for step, several in sorted(found.items())
    }


def _merged_errors(errors: Iterable[ErrorKind]) -> list[ErrorKind]:
    kinds: dict[tuple[str, str, str], ErrorKind] = {}
    for error in errors:
        key = (error["code"], error["message"], error["step_id"])
        if known := kinds.get(key):
            known["count"] += error["count"]
            known["first_ms"] = min(known["first_ms"], error["first_ms"])
        else:
            kinds[key] = error.copy()
    return sorted(kinds.values(), key=_by_time)


def _by_time(error: ErrorKind) -> tuple[int, str, str, str]:
    return error["first_ms"], error["code"], error["step_id"], error["message"]


def with_few_errors(report: Report, most: int = MOST_KINDS) -> Report:
    """Return a report whose errors are of few kinds: the first ones, and one of all others."""
    errors = sorted(report["errors"], key=_by_time)
    if len(errors) <= most:
        return report
    kept, others = errors[: most - 1], errors[most - 1 :]
    rest: ErrorKind = {
        "code": "OTHER",
        "message": "errors of other kinds",
        "step_id": "",
        "first_ms": others[0]["first_ms"],
        "count": sum(error["count"] for error in others),
    }
    return {**report, "errors": [*kept, rest]}


def closed(report: Report) -> Report:
    """Return the last report of a task that is lost: what it did counts, and it runs no more."""
    return {**report, "vus": 0, "ended": True}


def read_report(value: Any) -> Report:
    """Read a report that somebody else has sent.

    Raises:
        ValueError: It is something else, or does not add up.
    """
    if not isinstance(value, dict) or value.keys() != empty().keys():
        raise ValueError("a report must have the fields of one, and no others")
    if not all(is_count(value[name]) for name in (*_SUMS, "running_us")):
        raise ValueError("a report must count in integers that are not negative")
    if type(value["ended"]) is not bool:
        raise ValueError("ended must be true or false")
    steps, errors = value["steps"], value["errors"]
    if not isinstance(steps, dict) or len(steps) > MOST_STEPS:
        raise ValueError(f"steps must be an object of at most {MOST_STEPS}")
    if not isinstance(errors, list) or len(errors) > MOST_KINDS:
        raise ValueError(f"errors must be a list of at most {MOST_KINDS}")
    return {
        **value,  # type: ignore[typeddict-item]
        "iteration": histogram.read_counts(value["iteration"]),
        "requests": _read_requests(value["requests"]),
        "steps": {_read_text(name): _read_step(step) for name, step in steps.items()},
        "errors": [_read_error(error) for error in errors],
    }


def _read_requests(value: Any) -> Requests:
    if not isinstance(value, dict) or not is_count(value.get("failed")):
        raise ValueError("requests must tell how many failed")
    durations = {name: item for name, item in value.items() if name != "failed"}
    return {**histogram.read_counts(durations), "failed": value["failed"]}


def _read_step(value: Any) -> StepCounts:
    if not isinstance(value, dict) or value.keys() != {*_STEP_SUMS, "duration"}:
        raise ValueError("a step must have count, success, failure and duration")
    if not all(is_count(value[name]) for name in _STEP_SUMS):
        raise ValueError("a step must count in integers that are not negative")
    if value["count"] != value["success"] + value["failure"]:
        raise ValueError("a step must count each run as success or failure")
    return {**value, "duration": histogram.read_counts(value["duration"])}  # type: ignore[typeddict-item]


def _read_error(value: Any) -> ErrorKind:
    if not isinstance(value, dict) or value.keys() != ErrorKind.__annotations__.keys():
        raise ValueError("an error must have code, message, step_id, first_ms and count")
    if not is_count(value["first_ms"]) or not is_count(value["count"]):
        raise ValueError("an error must count in integers that are not negative")
    for name in ("code", "message", "step_id"):
        _read_text(value[name])
    return value  # type: ignore[return-value]


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or "\0" in value:
        raise ValueError(f"names and messages must be texts of at most {_LONGEST_TEXT} characters")
    return value

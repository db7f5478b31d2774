"""What is shown of an execution: its figures, its course, and whether its thresholds hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from app.domain import (
    JSON,
    QUANTILES,
    ErrorKind,
    ExecutionMetrics,
    ExecutionStatus,
    NodeShare,
    SeriesPoint,
    StepMetrics,
    ThresholdState,
    Timing,
)
from app.load import histogram, measures
from app.load.definition import Options, Threshold
from app.load.histogram import Counts
from app.load.measures import Report
from app.load.thresholds import judge, parse_threshold

MOST_POINTS: Final = 300
"""Of one course; then every second one is left out, and there is one in twice the time."""
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one threshold holds.

    Attributes:
        measured: Whether anything was measured that it is about.
    """

    threshold: Threshold
    passed: bool
    value: float
    measured: bool

    def to_json(self) -> JSON:
        """Write it for the store."""
        return [self.threshold.metric, self.threshold.condition, self.passed, self.value]


def verdicts(options: Options, report: Report) -> list[Verdict]:
    """Judge the thresholds by what was measured so far.

    Args:
        options: Hold them.
        report: Of all slaves together; its ``running_us``, ``vus`` and ``vus_max`` are those of the
            execution.
    """
    found = []
    for threshold in options.thresholds:
        judged = judge(parse_threshold(threshold.metric, threshold.condition), report)
        found.append(Verdict(threshold, judged.passed, judged.value, judged.measured))
    return found


def document(
    report: Report,
    *,
    steps: Sequence[str],
    thresholds: Iterable[Verdict],
    nodes: Sequence[NodeShare],
    errors: Iterable[measures.ErrorKind],
    final: bool,
) -> JSON:
    """Write what is shown of an execution, for the store.

    Args:
        report: As of :func:`verdicts`.
        steps: Ids of the steps, in the order of the workflow.
        thresholds: Whether they hold.
        nodes: Who did what.
        errors: Of the execution itself; those of its steps are in the report.
        final: Nothing changes any more.
    """
    return {
        "report": {**report, "errors": []},
        "steps": list(steps),
        "thresholds": [each.to_json() for each in thresholds],
        "nodes": [
            [
                node.node_id, str(node.status), node.completed_vus, node.completed_iterations,
                list(node.segment),
            ]
            for node in nodes
        ],
        "errors": [*errors, *report["errors"]],
        "final": final,
    }  # fmt: skip


def read_document(kept: JSON) -> ExecutionMetrics:
    """Read what :func:`document` has written."""
    report: Report = kept["report"]
    return ExecutionMetrics(
        vus=report["vus"],
        iterations=report["iterations"],
        failed=report["failed"],
        interrupted=report["interrupted"],
        dropped=report["dropped"],
        running_us=report["running_us"],
        requests=timing(report["requests"]),
        requests_failed=report["requests"]["failed"],
        iteration=timing(report["iteration"]),
        steps=tuple(
            StepMetrics(id_, step["success"], step["failure"], timing(step["duration"]))
            for id_ in kept["steps"]
            if (step := report["steps"].get(id_)) is not None
        ),
        thresholds=tuple(ThresholdState(*each) for each in kept["thresholds"]),
        nodes=tuple(_node(*each) for each in kept["nodes"]),
        errors=tuple(_error(each) for each in kept["errors"]),
        final=kept["final"],
    )


def _node(
    id_: str, status: str, completed_vus: int, iterations: int, segment: Sequence[float]
) -> NodeShare:
    start, end = segment
    return NodeShare(id_, ExecutionStatus(status), completed_vus, iterations, (start, end))


def _error(error: Mapping[str, JSON]) -> ErrorKind:
    at = datetime.fromtimestamp(error["first_ms"] / 1000, UTC)
    return ErrorKind(error["code"], error["message"], error["step_id"], at, error["count"])


def timing(counts: Counts) -> Timing:
    """Return what is shown of durations."""
    if not counts["n"]:
        return Timing()
    found = histogram.quantiles(counts, [percent / 100 for percent in QUANTILES])
    return Timing(
        count=counts["n"],
        min_us=counts["min"],
        max_us=counts["max"],
        avg_us=histogram.mean(counts),
        quantiles_us={p: round(value) for p, value in zip(QUANTILES, found, strict=True)},
    )


def extended(
    series: JSON, before: Report | None, report: Report, at_ms: int, *, last: bool = False
) -> JSON:
    """Add a point to a course, unless there is one of the same time.

    Args:
        series: The course so far; empty at first.
        before: What was measured when this was last called; None at first.
        report: As of :func:`verdicts`.
        at_ms: The moment, in milliseconds since the epoch.
        last: It is the last point, which each course has.
    """
    every, points = (series["every"], series["points"]) if series else (1, [])
    reached = points[-1][0] if points else 0
    running = report["running_us"]
    if running - reached < every * _SECOND_US and not (last and running > reached):
        return series or {"every": every, "points": points}
    if len(points) >= MOST_POINTS:
        every, points = every * 2, points[1::2]
    since = _since(before["requests"] if before else histogram.nothing(), report["requests"])
    point = [
        running, at_ms, report["vus"], report["iterations"], report["requests"]["n"],
        report["requests"]["failed"], round(histogram.mean(since)),
        round(histogram.quantile(since, 0.95)),
    ]  # fmt: skip
    return {"every": every, "points": [*points, point]}


def _since(before: Counts, now: Counts) -> Counts:
    """Return what was counted since an earlier moment."""
    number = now["n"] - before["n"]
    if number <= 0:
        return histogram.nothing()
    buckets = {
        bucket: left
        for bucket, count in now["b"].items()
        if (left := count - before["b"].get(bucket, 0)) > 0
    }
    counted = {"n": sum(buckets.values()), "sum": now["sum"] - before["sum"], "b": buckets}
    return {**histogram.nothing(), **counted, "min": now["min"], "max": now["max"]}  # type: ignore[typeddict-item]


def read_series(kept: JSON) -> list[SeriesPoint]:
    """Read what :func:`extended` has written."""
    return [
        SeriesPoint(datetime.fromtimestamp(at_ms / 1000, UTC), running, *rest)
        for running, at_ms, *rest in (kept["points"] if kept else ())
    ]

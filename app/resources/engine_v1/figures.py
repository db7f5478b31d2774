"""What executions of virtual users have done, in the forms that this API has for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import marshmallow as ma
from marshmallow import fields

from app.domain import QUANTILES, ExecutionMetrics, StepMetrics, Timing
from app.durations import format_go_duration
from app.resources._api import iso_second

_DIGITS: Final = 4
"""Significant digits of durations."""
_MILLISECOND: Final = {"type": "string", "example": "125ms"}


def go_duration(microseconds: float) -> str:
    """Write a duration as Go does, in a few digits: ``51.23ms``, ``5m0s``."""
    return format_go_duration(round(microseconds), _DIGITS)


def _duration() -> fields.Field[Any]:
    return fields.String(required=True, metadata=_MILLISECOND)


class DurationsSchema(ma.Schema):
    """How long a step took, as Go writes durations."""

    min = _duration()
    max = _duration()
    avg = _duration()
    p50 = _duration()
    p90 = _duration()
    p95 = _duration()
    p99 = _duration()


class StepMetricsSchema(ma.Schema):
    """How often a step ran; a run is a success or a failure."""

    step_id = fields.String(required=True)
    count = fields.Integer(required=True)
    success_count = fields.Integer(required=True)
    failure_count = fields.Integer(required=True)
    duration = fields.Nested(DurationsSchema, required=True)


class ThresholdSchema(ma.Schema):
    """A threshold, as it stands or as it was judged at the end."""

    metric = fields.String(required=True, metadata={"example": "http_req_duration"})
    condition = fields.String(required=True, metadata={"example": "p(95) < 500"})
    passed = fields.Boolean(required=True)
    value = fields.Float(
        required=True,
        metadata={"description": "What was compared: milliseconds, a share, a number or a rate"},
    )


class MetricsSchema(ma.Schema):
    """What an execution has done so far."""

    execution_id = fields.String(required=True)
    total_vus = fields.Integer(required=True, metadata={"description": "Virtual users now"})
    total_iterations = fields.Integer(
        required=True, metadata={"description": "Iterations that came to their end, failed or not"}
    )
    duration = fields.String(
        required=True,
        metadata={"description": "Running time, without pauses", "example": "5m0s"},
    )
    step_metrics = fields.Dict(
        keys=fields.String(), values=fields.Nested(StepMetricsSchema), required=True,
        metadata={"description": "Of each step that ran, by its id"},
    )  # fmt: skip
    thresholds = fields.List(fields.Nested(ThresholdSchema), required=True)
    dropped_iterations = fields.Integer(
        metadata={"description": "Due, but no virtual user was free; left out where there is none"}
    )
    interrupted_iterations = fields.Integer(
        metadata={"description": "Cut before their end; left out where there is none"}
    )


def metrics_json(execution_id: str, metrics: ExecutionMetrics) -> dict[str, Any]:
    """Write what an execution has done so far.

    Args:
        execution_id: The id of the execution in this API.
        metrics: What it has done.
    """
    rare = {
        "dropped_iterations": metrics.dropped,
        "interrupted_iterations": metrics.interrupted,
    }
    return {
        "execution_id": execution_id,
        "total_vus": metrics.vus,
        "total_iterations": metrics.iterations,
        "duration": go_duration(metrics.running_us),
        "step_metrics": {step.step_id: _step(step) for step in metrics.steps},
        "thresholds": [
            {
                "metric": each.metric,
                "condition": each.condition,
                "passed": each.passed,
                "value": round(each.value, 3),
            }
            for each in metrics.thresholds
        ],
        **{name: number for name, number in rare.items() if number},
    }


def _step(step: StepMetrics) -> dict[str, Any]:
    return {
        "step_id": step.step_id,
        "count": step.count,
        "success_count": step.success,
        "failure_count": step.failure,
        "duration": _timing(step.duration),
    }


def _timing(timing: Timing) -> dict[str, str]:
    quantiles = {f"p{percent}": timing.quantiles_us[percent] for percent in QUANTILES}
    times = {"min": timing.min_us, "max": timing.max_us, "avg": timing.avg_us, **quantiles}
    return {name: go_duration(microseconds) for name, microseconds in times.items()}


def message_json(metrics: ExecutionMetrics, at: datetime) -> dict[str, Any]:
    """Write a message of the live metrics; durations are in milliseconds.

    Args:
        metrics: What the execution has done so far.
        at: When that was so.
    """
    requests = metrics.requests
    return {
        "type": "metrics",
        "timestamp": iso_second(at),
        "data": {
            "vus": metrics.vus,
            "iteration": metrics.iterations,
            "http_reqs": {"count": requests.count, "rate": round(metrics.request_rate, 2)},
            "http_req_duration": {
                "avg": _milliseconds(requests.avg_us),
                "p95": _milliseconds(requests.quantiles_us[95]),
            },
        },
    }


def _milliseconds(microseconds: float) -> float:
    return round(microseconds / 1000, 3)

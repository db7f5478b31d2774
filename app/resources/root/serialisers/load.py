"""Virtual users and nodes on the wire. Durations are in milliseconds, as numbers."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.domain import QUANTILES, Execution, ExecutionMetrics, Node, NodeState, SeriesPoint, Timing
from app.resources._api import iso

_MS = {"description": "Milliseconds"}
_MOMENT = {"type": "string", "format": "date-time"}


def _milliseconds() -> fields.Float:
    return fields.Float(required=True, metadata=_MS)


class TimingSchema(ma.Schema):
    """How long things took; all 0 where there were none."""

    count = fields.Integer(required=True)
    min = _milliseconds()
    max = _milliseconds()
    avg = _milliseconds()
    p50 = _milliseconds()
    p90 = _milliseconds()
    p95 = _milliseconds()
    p99 = _milliseconds()


class StepMetricsSchema(ma.Schema):
    """How often a step ran; each run is a success or a failure."""

    step = fields.String(required=True)
    success = fields.Integer(required=True)
    failure = fields.Integer(required=True)
    duration = fields.Nested(TimingSchema, required=True)


class ThresholdSchema(ma.Schema):
    """A threshold, as it stands or as it was judged at the end."""

    metric = fields.String(required=True, metadata={"example": "http_req_duration"})
    condition = fields.String(required=True, metadata={"example": "p(95) < 500"})
    passed = fields.Boolean(required=True)
    value = fields.Float(required=True, metadata={"description": "What was compared"})


class ErrorKindSchema(ma.Schema):
    """Errors of one kind."""

    code = fields.String(required=True)
    message = fields.String(required=True)
    step = fields.String(
        required=True, allow_none=True, metadata={"description": "null: of no single step"}
    )
    first_at = fields.String(required=True, metadata=_MOMENT)
    count = fields.Integer(required=True)


class NodeShareSchema(ma.Schema):
    """What one node does for an execution."""

    node = fields.String(required=True)
    state = fields.String(required=True)
    completed_vus = fields.Integer(required=True)
    completed_iterations = fields.Integer(required=True)
    segment = fields.List(
        fields.Float(),
        required=True,
        metadata={"description": "Where its share of the whole begins and ends, 0 to 1"},
    )


class SeriesPointSchema(ma.Schema):
    """How an execution stood at one moment; numbers count from its beginning."""

    at = fields.String(required=True, metadata=_MOMENT)
    running_seconds = fields.Float(required=True)
    vus = fields.Integer(required=True)
    iterations = fields.Integer(required=True)
    requests = fields.Integer(required=True)
    requests_failed = fields.Integer(required=True)
    avg = fields.Float(
        required=True, metadata={"description": "Of the requests of the second before, in ms"}
    )
    p95 = fields.Float(required=True, metadata={"description": "The same"})


class MetricsSchema(ma.Schema):
    """What an execution of virtual users has done so far."""

    execution_id = fields.String(required=True)
    state = fields.String(required=True)
    final = fields.Boolean(required=True, metadata={"description": "Nothing changes any more"})
    vus = fields.Integer(required=True, metadata={"description": "Virtual users now"})
    running_seconds = fields.Float(
        required=True, metadata={"description": "Running time, without pauses"}
    )
    iterations = fields.Integer(required=True)
    iterations_failed = fields.Integer(required=True)
    iterations_interrupted = fields.Integer(
        required=True, metadata={"description": "Cut before their end; they count in no other way"}
    )
    iterations_dropped = fields.Integer(
        required=True, metadata={"description": "Due, and no virtual user was free"}
    )
    iteration = fields.Nested(TimingSchema, required=True)
    requests = fields.Nested(TimingSchema, required=True)
    requests_failed = fields.Integer(required=True)
    requests_per_second = fields.Float(required=True)
    steps = fields.List(fields.Nested(StepMetricsSchema), required=True)
    thresholds = fields.List(fields.Nested(ThresholdSchema), required=True)
    nodes = fields.List(fields.Nested(NodeShareSchema), required=True)
    errors = fields.List(fields.Nested(ErrorKindSchema), required=True)
    series = fields.List(
        fields.Nested(SeriesPointSchema),
        metadata={"description": "Its course, where that was asked for: some 300 points at most"},
    )


class NodeSchema(ma.Schema):
    """A machine that works for the service, or a process on one."""

    id = fields.String(required=True)
    orchestrator = fields.String(
        required=True, metadata={"description": "Whose work it does", "example": "load"}
    )
    type = fields.String(required=True, metadata={"example": "worker"})
    address = fields.String(required=True)
    capabilities = fields.List(fields.String(), required=True)
    labels = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    state = fields.String(
        required=True,
        validate=ma.validate.OneOf([str(state) for state in NodeState]),
    )
    load = fields.Float(  # type: ignore[assignment]  # it is no method
        required=True, metadata={"description": "From 0; 1 is full"}
    )
    active_tasks = fields.Integer(required=True)
    last_seen = fields.String(required=True, metadata=_MOMENT)


def metrics_json(execution: Execution, metrics: ExecutionMetrics) -> dict[str, Any]:
    """Write what an execution has done so far."""
    return {
        "execution_id": execution.id,
        "state": str(execution.status),
        "final": metrics.final,
        "vus": metrics.vus,
        "running_seconds": metrics.running_us / 1e6,
        "iterations": metrics.iterations,
        "iterations_failed": metrics.failed,
        "iterations_interrupted": metrics.interrupted,
        "iterations_dropped": metrics.dropped,
        "iteration": _timing(metrics.iteration),
        "requests": _timing(metrics.requests),
        "requests_failed": metrics.requests_failed,
        "requests_per_second": round(metrics.request_rate, 3),
        "steps": [
            {
                "step": step.step_id,
                "success": step.success,
                "failure": step.failure,
                "duration": _timing(step.duration),
            }
            for step in metrics.steps
        ],
        "thresholds": [
            {
                "metric": each.metric,
                "condition": each.condition,
                "passed": each.passed,
                "value": each.value,
            }
            for each in metrics.thresholds
        ],
        "nodes": [
            {
                "node": share.node_id,
                "state": str(share.status),
                "completed_vus": share.completed_vus,
                "completed_iterations": share.completed_iterations,
                "segment": list(share.segment),
            }
            for share in metrics.nodes
        ],
        "errors": [
            {
                "code": error.code,
                "message": error.message,
                "step": error.step_id or None,
                "first_at": iso(error.at),
                "count": error.count,
            }
            for error in metrics.errors
        ],
    }


def point_json(point: SeriesPoint) -> dict[str, Any]:
    """Write one point of a course."""
    return {
        "at": iso(point.at),
        "running_seconds": point.running_us / 1e6,
        "vus": point.vus,
        "iterations": point.iterations,
        "requests": point.requests,
        "requests_failed": point.requests_failed,
        "avg": point.avg_us / 1000,
        "p95": point.p95_us / 1000,
    }


def node_json(node: Node) -> dict[str, Any]:
    """Write a node."""
    return {
        "id": node.id,
        "orchestrator": node.orchestrator,
        "type": node.type,
        "address": node.address,
        "capabilities": list(node.capabilities),
        "labels": dict(node.labels),
        "state": str(node.state),
        "load": round(node.load, 3),
        "active_tasks": node.active_tasks,
        "last_seen": iso(node.last_seen),
    }


def _timing(timing: Timing) -> dict[str, Any]:
    quantiles = {f"p{percent}": timing.quantiles_us[percent] / 1000 for percent in QUANTILES}
    return {
        "count": timing.count,
        "min": timing.min_us / 1000,
        "max": timing.max_us / 1000,
        "avg": timing.avg_us / 1000,
        **quantiles,
    }

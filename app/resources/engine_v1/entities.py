"""Executions and slaves on the wire, in the forms that this API has for them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import marshmallow as ma
from marshmallow import fields, validate

from app.domain import ErrorKind, ExecutionMetrics, ExecutionSummary, Node, NodeShare, NodeState
from app.resources._api import iso_second
from app.resources.engine_v1.examples import EXECUTION
from app.resources.engine_v1.statuses import STATUSES, WORDS

_MOMENT: Final = {"description": "RFC 3339, in UTC", "example": "2026-01-05T10:00:00Z"}
_EMPTY_MOMENT: Final = {
    **_MOMENT,
    "description": "RFC 3339, in UTC; empty as long as there is none",
}


def _status() -> fields.Field[Any]:
    return fields.String(required=True, validate=validate.OneOf(WORDS))


def _progress() -> fields.Field[Any]:
    return fields.Float(required=True, metadata={"description": "Share that is done, 0 to 1"})


class ExecutionRowSchema(ma.Schema):
    """An execution, as lists show it."""

    id = fields.String(required=True, metadata=EXECUTION.schema())
    workflow_id = fields.String(required=True)
    status = _status()
    progress = _progress()
    start_time = fields.String(required=True, metadata=_EMPTY_MOMENT)


class SlaveStateSchema(ma.Schema):
    """What one slave does for an execution."""

    slave_id = fields.String(required=True)
    status = _status()
    completed_vus = fields.Integer(required=True)
    completed_iters = fields.Integer(required=True)
    segment_start = fields.Float(required=True)
    segment_end = fields.Float(required=True)


class FaultSchema(ma.Schema):
    """What went wrong in an execution, and how often."""

    code = fields.String(required=True)
    message = fields.String(required=True)
    step_id = fields.String(
        required=True, metadata={"description": "Empty where no single step is to blame"}
    )
    timestamp = fields.String(
        required=True, metadata={**_MOMENT, "description": "When it happened first"}
    )
    count = fields.Integer(required=True, metadata={"description": "How often it happened"})


class ExecutionSchema(ExecutionRowSchema):
    """An execution, and what each slave does for it."""

    end_time = fields.String(required=True, metadata=_EMPTY_MOMENT)
    slave_states = fields.Dict(
        keys=fields.String(), values=fields.Nested(SlaveStateSchema), required=True,
        metadata={"description": "By the id of the slave"},
    )  # fmt: skip
    errors = fields.List(fields.Nested(FaultSchema), required=True)


class SlaveStatusSchema(ma.Schema):
    """How a slave is."""

    state = fields.String(
        required=True, validate=validate.OneOf([str(state) for state in NodeState])
    )
    share = fields.Float(  # under its own name it would hide a method of schemas
        attribute="load",
        data_key="load",
        required=True,
        metadata={
            "description": "The larger of its virtual users and its processor time; 1 is full, "
            "also where its work is late"
        },
    )
    active_tasks = fields.Integer(required=True)
    last_seen = fields.String(required=True, metadata=_MOMENT)


class SlaveSchema(ma.Schema):
    """A slave: a process that runs virtual users."""

    id = fields.String(required=True)
    type = fields.String(required=True, metadata={"example": "worker"})
    address = fields.String(required=True, metadata={"example": "192.168.1.10:9091"})
    capabilities = fields.List(fields.String(), required=True)
    labels = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    status = fields.Nested(SlaveStatusSchema, required=True)


def id_of(execution: ExecutionSummary) -> str:
    """Return the id by which this API knows an execution."""
    return execution.upstream_id or execution.id


def execution_row(execution: ExecutionSummary) -> dict[str, Any]:
    """Write an execution as lists show it."""
    return {
        "id": id_of(execution),
        "workflow_id": execution.workflow_id,
        "status": STATUSES[execution.status],
        "progress": round(execution.progress, 4),
        "start_time": _moment(execution.started_at),
    }


def execution_json(execution: ExecutionSummary, metrics: ExecutionMetrics) -> dict[str, Any]:
    """Write an execution, and what each slave does for it."""
    return {
        **execution_row(execution),
        "end_time": _moment(execution.finished_at if execution.status.final else None),
        "slave_states": {share.node_id: _share(share) for share in metrics.nodes},
        "errors": [_fault(error) for error in metrics.errors],
    }


def _share(share: NodeShare) -> dict[str, Any]:
    start, end = share.segment
    return {
        "slave_id": share.node_id,
        "status": STATUSES[share.status],
        "completed_vus": share.completed_vus,
        "completed_iters": share.completed_iterations,
        "segment_start": start,
        "segment_end": end,
    }


def _fault(error: ErrorKind) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": error.message,
        "step_id": error.step_id,
        "timestamp": iso_second(error.at),
        "count": error.count,
    }


def slave_json(node: Node) -> dict[str, Any]:
    """Write a slave."""
    return {
        "id": node.id,
        "type": node.type,
        "address": node.address,
        "capabilities": list(node.capabilities),
        "labels": dict(node.labels),
        "status": {
            "state": str(node.state),
            "load": round(node.load, 2),
            "active_tasks": node.active_tasks,
            "last_seen": iso_second(node.last_seen),
        },
    }


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else iso_second(moment)

"""Executions on the wire: whole, as lists show them, and as events of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.domain import Execution, ExecutionSummary, Task
from app.resources._api import Timestamp
from app.resources._context import services
from app.resources._serialiser import Serialiser
from app.resources.root.serialisers.tasks import TaskSchema, task_json
from app.resources.root.statuses import state_field, status_field, status_word


class ExecutionSummarySchema(ma.Schema):
    """An execution, as lists show it."""

    id = fields.String(required=True)
    status = status_field()
    state = state_field()
    workflow = fields.String(attribute="workflow_id", metadata={"description": "Its id"})
    workflow_name = fields.String()
    orchestrator = fields.String()
    owner = fields.String()
    upstream_id = fields.String(
        allow_none=True,
        metadata={"description": "The orchestrator's own id, which finds the execution, too"},
    )
    created_at = Timestamp(metadata={"type": "string", "format": "date-time"})
    started_at = Timestamp(allow_none=True, metadata={"type": "string", "format": "date-time"})
    finished_at = Timestamp(allow_none=True, metadata={"type": "string", "format": "date-time"})
    progress = fields.Float(metadata={"description": "Share of the work that is done, 0 to 1"})
    error = fields.String(allow_none=True)
    as_of = Timestamp(
        metadata={
            "type": "string", "format": "date-time",
            "description": "When the status was last known to be true",
        }
    )  # fmt: skip
    stale = fields.Boolean(metadata={"description": "The orchestrator has been silent for long"})


class ExecutionSchema(ExecutionSummarySchema):
    """An execution."""

    inputs = fields.Dict(required=True)
    outputs = fields.Dict(required=True)
    tasks = fields.List(fields.Nested(TaskSchema), required=True)


def _status(execution: ExecutionSummary) -> str:
    return status_word(execution.status)


def _state(execution: ExecutionSummary) -> str:
    return str(execution.status)


def _is_stale(execution: ExecutionSummary) -> bool:
    return services().executions.is_stale(execution)


summary_json = Serialiser(ExecutionSummarySchema, status=_status, state=_state, stale=_is_stale)

status_json = Serialiser(
    ExecutionSummarySchema,
    only={"id", "status", "state", "progress", "error", "as_of"},
    status=_status,
    state=_state,
)
"""Writes how an execution stands, as events carry it."""


def execution_json(execution: Execution, tasks: Sequence[Task]) -> dict[str, Any]:
    """Write an execution with its tasks."""
    return {
        **summary_json(execution),
        "inputs": execution.inputs,
        "outputs": execution.outputs,
        "tasks": [task_json(task) for task in tasks],
    }

"""Executions on the wire: whole, as lists show them, and as events of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.domain import Execution, ExecutionSummary, Task, Tombstone
from app.execution_names import start_of
from app.resources._api import Timestamp, iso
from app.resources._serialiser import Serialiser
from app.resources.root.examples import INPUTS, LABELS, WORKFLOW
from app.resources.root.forms import ID, NAME, Form
from app.resources.root.serialisers.tasks import TaskSchema, task_json
from app.resources.root.statuses import AWF_STATUSES, state_field, status_field, status_word

_LAST_RUN = (
    "id", "execution_id", "status", "state", "created_at", "started_at", "finished_at",
)  # fmt: skip


class BriefSchema(ma.Schema):
    """What an execution does by now, or why it failed, in what a list has room for."""

    tasks = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "What runs or is paused, by title where it has one: the first ones"
        },
    )
    active = fields.Integer(required=True, metadata={"description": "How many do"})
    waits_for = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What it waits for, in words, where nothing of it runs"},
    )
    failed_task = fields.String(
        required=True, allow_none=True, metadata={"description": "The task that failed"}
    )
    exit_code = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Of that task"}
    )
    reason = fields.String(
        required=True, allow_none=True, metadata={"description": "Why it failed, in one line"}
    )


class ExecutionSummarySchema(ma.Schema):
    """An execution, as lists show it."""

    id = fields.String(required=True, metadata=ID.schema())
    execution_id = fields.String(
        required=True,
        attribute="awf_name",
        metadata={
            **NAME.schema(),
            "description": "Its name: workflow, date and time; finds the execution, too",
        },
    )
    status = status_field()
    state = state_field()
    workflow = fields.String(
        attribute="workflow_id", metadata={"description": "Its id", "example": WORKFLOW}
    )
    workflow_name = fields.String()
    workflow_version = fields.Integer(
        allow_none=True,
        metadata={
            "description": "Of its definition (`GET /workflows/{reference}/versions`); null where "
            "that was not uploaded"
        },
    )
    orchestrator = fields.String()
    owner = fields.String()
    upstream_id = fields.String(
        allow_none=True,
        metadata={"description": "The orchestrator's own id, which finds the execution, too"},
    )
    continues = fields.String(
        allow_none=True,
        metadata={"description": "Id of the execution that had ended, and goes on in this one"},
    )
    name = fields.String(
        allow_none=True,
        metadata={"description": "What its owner calls it, as they said at launch"},
    )
    labels = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={"description": "What its owner finds it by", "example": LABELS},
    )
    created_at = Timestamp()
    started_at: fields.Field[Any] = Timestamp(allow_none=True)
    finished_at = Timestamp(allow_none=True)
    progress = fields.Float(metadata={"description": "Share of the work that is done, 0 to 1"})
    error = fields.String(allow_none=True)
    as_of = Timestamp(
        metadata={
            "description": "When the status was last known to be true",
        }
    )  # fmt: skip
    stale = fields.Boolean(metadata={"description": "The orchestrator has been silent for long"})


class LastRunSchema(ExecutionSummarySchema):
    """How an execution ended, or stands."""

    class Meta:
        """What tells that."""

        fields = _LAST_RUN


class ListedExecutionSchema(ExecutionSummarySchema):
    """An execution in a list."""

    brief = fields.Nested(
        BriefSchema, metadata={"description": "Where `brief` asks for it; see there"}
    )


class ExecutionSchema(ExecutionSummarySchema):
    """An execution."""

    inputs = fields.Dict(required=True, metadata={"example": INPUTS})
    outputs = fields.Dict(required=True)
    tasks = fields.List(fields.Nested(TaskSchema), required=True)


class ExecutionStatusSchema(ExecutionSchema):
    """An execution, as clients of the AWF API know it: asked for by its name."""

    id = fields.String(
        required=True, metadata={**NAME.schema(), "description": "The same as `execution_id`"}
    )
    status = status_field(AWF_STATUSES)
    started_at = fields.String(
        required=True,
        metadata={"format": "date-time", "description": "In whole seconds, as the name tells it"},
    )


def _status(execution: ExecutionSummary) -> str:
    return status_word(execution.status)


def _awf_status(execution: ExecutionSummary) -> str:
    return status_word(execution.status, Form.AWF)


def _start(execution: ExecutionSummary) -> str:
    return start_of(execution.awf_name)


def _name(execution: ExecutionSummary) -> str:
    return execution.awf_name


def _state(execution: ExecutionSummary) -> str:
    return str(execution.status)


_EVENT = {"id", "execution_id", "status", "state", "progress", "error", "as_of"}

_SUMMARY = ExecutionSummarySchema().dump_fields.keys() - {"stale"}

_SUMMARIES = {
    Form.BY_ID: Serialiser(ExecutionSummarySchema, only=_SUMMARY, status=_status, state=_state),
    Form.AWF: Serialiser(
        ExecutionStatusSchema,
        only=_SUMMARY,
        id=_name,
        status=_awf_status,
        state=_state,
        started_at=_start,
    ),
}

_EVENTS = {
    Form.BY_ID: Serialiser(ExecutionSummarySchema, only=_EVENT, status=_status, state=_state),
    Form.AWF: Serialiser(
        ExecutionStatusSchema, only=_EVENT, id=_name, status=_awf_status, state=_state
    ),
}


event_json = Serialiser(
    ExecutionSummarySchema,
    only={*_EVENT, "workflow", "workflow_name", "name", "labels"},
    status=_status,
    state=_state,
)
"""Writes how an execution stands, as events of all executions carry it: with what it runs.

People find it by its name and labels there, too.
"""


last_run_json = Serialiser(
    ExecutionSummarySchema, only=set(_LAST_RUN), status=_status, state=_state
)
"""Writes how the last execution of a workflow stands."""

brief_json = Serialiser(BriefSchema)
"""Writes what lists say of an execution beside its state."""


def summary_json(
    execution: ExecutionSummary, *, stale: bool, form: Form = Form.BY_ID
) -> dict[str, Any]:
    """Write an execution without its tasks.

    Args:
        execution: The execution.
        stale: Its orchestrator has been silent for longer than it should.
        form: What it is called, and how its state.
    """
    return {**_SUMMARIES[form](execution), "stale": stale}


def status_json(execution: ExecutionSummary, form: Form = Form.BY_ID) -> dict[str, Any]:
    """Write how an execution stands, as events carry it."""
    return _EVENTS[form](execution)


def purged_json(tombstone: Tombstone) -> dict[str, Any]:
    """Write that an execution was purged, as events carry it."""
    return {
        "id": tombstone.id,
        "name": tombstone.name,
        "workflow_id": tombstone.workflow_id,
        "purged_at": iso(tombstone.purged_at),
        "purged_by": tombstone.purged_by,
    }


def execution_json(
    execution: Execution, tasks: Sequence[Task], *, stale: bool, form: Form = Form.BY_ID
) -> dict[str, Any]:
    """Write an execution with its tasks; see :func:`summary_json`."""
    return {
        **summary_json(execution, stale=stale, form=form),
        "inputs": execution.inputs,
        "outputs": execution.outputs,
        "tasks": [task_json(task) for task in tasks],
    }

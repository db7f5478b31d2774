"""Workflows and workers on the wire, in the forms that this API has for them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.domain import StandingTask, StandingWorkflow, Task
from app.resources._api import Timestamp, iso
from app.resources.wattle.envelope import MOMENT
from app.resources.wattle.statuses import CREATED, STATUSES, worker_status, workflow_status


def _moment() -> fields.Field[Any]:
    return Timestamp(required=True, allow_none=True, metadata=MOMENT)


def _status() -> fields.Field[Any]:
    return fields.String(required=True, validate=validate.OneOf(STATUSES))


def _json_text(example: str) -> fields.Field[Any]:
    return fields.String(
        required=True, allow_none=True,
        metadata={"description": "JSON, as text", "example": example},
    )  # fmt: skip


class WorkflowEntitySchema(ma.Schema):
    """A workflow, with the times of its current run."""

    name = fields.String(required=True)
    working_dir = fields.String(required=True, allow_none=True)
    status = _status()
    created_at = Timestamp(required=True, metadata=MOMENT)
    started_at = _moment()
    completed_at = _moment()
    deleted_at = _moment()


class WorkerSummarySchema(ma.Schema):
    """A worker, as the list of a workflow's shows it."""

    name = fields.String(required=True)
    workflow_name = fields.String(required=True)
    status = _status()
    command = fields.String(required=True)
    created_at = Timestamp(required=True, metadata=MOMENT)
    started_at = _moment()
    completed_at = _moment()


class WorkerDetailSchema(ma.Schema):
    """A worker by itself: its arguments and variables are values."""

    name = fields.String(required=True)
    workflow_name = fields.String(required=True)
    command = fields.String(required=True)
    args = fields.List(fields.String(), required=True, allow_none=True)
    working_dir = fields.String(required=True)
    env_vars = fields.Dict(
        keys=fields.String(), values=fields.String(), required=True, allow_none=True
    )
    status = _status()


class WorkerEntitySchema(ma.Schema):
    """A worker with all that is known of it: its arguments and such are JSON texts."""

    workflow_name = fields.String(required=True)
    name = fields.String(required=True)
    command = fields.String(required=True)
    args = _json_text('["--source", "database"]')
    working_dir = fields.String(required=True)
    env_vars = _json_text('{"DATABASE_URL": "sqlite:///data.db"}')
    inputs = _json_text('{"input_data": "data_fetcher/raw_data"}')
    outputs = _json_text('{"raw_data": "/tmp/raw_data.json"}')
    status = _status()
    error_message = fields.String(required=True, allow_none=True)
    created_at = Timestamp(required=True, metadata=MOMENT)
    started_at = _moment()
    completed_at = _moment()
    deleted_at = _moment()


def workflow_entity(workflow: StandingWorkflow) -> dict[str, Any]:
    """Write a workflow."""
    run = workflow.execution
    return {
        "name": workflow.name,
        "working_dir": workflow.working_dir,
        "status": workflow_status(run),
        "created_at": iso(workflow.created_at),
        "started_at": None if run is None else _written(run.started_at),
        "completed_at": None if run is None else _written(run.finished_at),
        "deleted_at": None,
    }


def worker_summary(workflow: str, worker: StandingTask) -> dict[str, Any]:
    """Write a worker as lists show it."""
    return {
        "name": worker.spec.name,
        "workflow_name": workflow,
        "status": worker_status(worker.state),
        "command": worker.spec.command,
        "created_at": iso(worker.created_at),
        **_times(worker.state),
    }


def worker_detail(workflow: str, worker: StandingTask) -> dict[str, Any]:
    """Write a worker by itself."""
    spec = worker.spec
    return {
        "name": spec.name,
        "workflow_name": workflow,
        "command": spec.command,
        "args": spec.args,
        "working_dir": spec.working_dir,
        "env_vars": spec.env,
        "status": worker_status(worker.state),
    }


def worker_entity(workflow: str, worker: StandingTask) -> dict[str, Any]:
    """Write a worker with all that is known of it."""
    spec, state = worker.spec, worker.state
    status = worker_status(state)
    return {
        "workflow_name": workflow,
        "name": spec.name,
        "command": spec.command,
        "args": _text(spec.args),
        "working_dir": spec.working_dir,
        "env_vars": _text(spec.env),
        "inputs": _text(spec.inputs),
        "outputs": _text(spec.outputs),
        "status": status,
        "error_message": state.error if state is not None and status == "failed" else None,
        "created_at": iso(worker.created_at),
        **_times(state),
        "deleted_at": None,
    }


def _times(state: Task | None) -> dict[str, str | None]:
    """Write when a worker ran; one that never began, or was given up, has no times."""
    if state is None or worker_status(state) == CREATED:
        return {"started_at": None, "completed_at": None}
    ended = state.finished_at if state.status.final else None
    return {"started_at": _written(state.started_at), "completed_at": _written(ended)}


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)


def _text(value: Any) -> str | None:
    """Write a value as JSON in a text, with a blank after ``:`` and ``,``."""
    return None if value is None else json.dumps(value, ensure_ascii=False)

"""``/api/workers``: read, control and delete the workers of a workflow."""

from __future__ import annotations

from typing import Any, Final

import marshmallow as ma
from flask import Response
from marshmallow import fields

from app.domain import Permission
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.resources.wattle.entities import (
    WorkerDetailSchema,
    WorkerSummarySchema,
    worker_detail,
    worker_summary,
)
from app.resources.wattle.envelope import Blueprint, answer, enveloped

blueprint = Blueprint("workers", __name__, url_prefix="/workers", description="Single workers")

_WORKER: Final = "/<string:workflow_name>/<string:worker_name>"
_TEXT: Final = {"type": "string"}
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "workflow_name": _TEXT,
        "command": _TEXT,
        "args": {"type": "array", "items": _TEXT},
        "working_dir": _TEXT,
        "env_vars": {"type": "object", "additionalProperties": _TEXT},
    },
}
"""What describes every worker, as JSON Schema."""


class WorkerSchemaSchema(ma.Schema):
    """What describes a worker."""

    schema = fields.Dict(required=True, metadata={"description": "A JSON Schema"})


@blueprint.route("/<string:workflow_name>", methods=["GET"])
@blueprint.response(
    200, enveloped("Workers", fields.List(fields.Nested(WorkerSummarySchema), required=True))
)
@blueprint.errors(404, 503)
@permission(Permission.EXECUTIONS_READ)
def list_workers(workflow_name: str) -> Response:
    """List the workers of a workflow, in short."""
    found = services().standing.tasks(workflow_name, caller())
    return answer([worker_summary(workflow_name, worker) for worker in found])


@blueprint.route(_WORKER, methods=["GET"])
@blueprint.response(200, enveloped("Worker", fields.Nested(WorkerDetailSchema, required=True)))
@blueprint.errors(404, 503)
@permission(Permission.EXECUTIONS_READ)
def get_worker(workflow_name: str, worker_name: str) -> Response:
    """Get a worker."""
    found = services().standing.task(workflow_name, worker_name, caller())
    return answer(worker_detail(workflow_name, found))


@blueprint.route(f"{_WORKER}/schema", methods=["GET"])
@blueprint.response(
    200, enveloped("WorkerSchema", fields.Nested(WorkerSchemaSchema, required=True))
)
@blueprint.errors(404, 503)
@permission(Permission.EXECUTIONS_READ)
def get_worker_schema(workflow_name: str, worker_name: str) -> Response:
    """Get the JSON Schema of a worker, which is the same for all."""
    services().standing.task(workflow_name, worker_name, caller())
    return answer({"schema": _SCHEMA})


@blueprint.route(_WORKER, methods=["DELETE"])
@blueprint.response(200, enveloped("WorkerDeleted", fields.String(required=True)))
@blueprint.errors(404, 409, 503)
@permission(Permission.WORKFLOWS_WRITE, action="workers:delete")
def delete_worker(workflow_name: str, worker_name: str) -> Response:
    """Delete a worker that does not run."""
    services().standing.delete(workflow_name, worker_name, caller())
    return answer(f"Worker '{workflow_name}/{worker_name}' deleted successfully")

"""``/api/workers``: read, control and delete the workers of a workflow."""

from __future__ import annotations

from typing import Any, Final

import marshmallow as ma
from flask import Response
from marshmallow import fields

from app.domain import Permission
from app.resources._api import LastEventId
from app.resources._auth import caller, caller_by_now
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.resources._streams import stream
from app.resources.wattle.entities import (
    WorkerDetailSchema,
    WorkerSummarySchema,
    worker_detail,
    worker_summary,
)
from app.resources.wattle.envelope import Blueprint, answer, enveloped, shown
from app.resources.wattle.logs import WattleSse
from app.resources.wattle.metrics import MeasuredSchema, metrics_json

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


class StreamHeadersSchema(ma.Schema):
    """Where a client of a stream left off."""

    last_event_id = LastEventId()


class DescribedSchema(ma.Schema):
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
    return shown([worker_summary(workflow_name, worker) for worker in found])


@blueprint.route(_WORKER, methods=["GET"])
@blueprint.response(200, enveloped("Worker", fields.Nested(WorkerDetailSchema, required=True)))
@blueprint.errors(404, 503)
@permission(Permission.EXECUTIONS_READ)
def get_worker(workflow_name: str, worker_name: str) -> Response:
    """Get a worker."""
    found = services().standing.task(workflow_name, worker_name, caller())
    return shown(worker_detail(workflow_name, found))


@blueprint.route(f"{_WORKER}/schema", methods=["GET"])
@blueprint.response(200, enveloped("WorkerSchema", fields.Nested(DescribedSchema, required=True)))
@blueprint.errors(404, 503)
@permission(Permission.EXECUTIONS_READ)
def get_worker_schema(workflow_name: str, worker_name: str) -> Response:
    """Get the JSON Schema of a worker, which is the same for all."""
    services().standing.task(workflow_name, worker_name, caller())
    return shown({"schema": _SCHEMA})


@blueprint.route(f"{_WORKER}/start", methods=["POST"])
@blueprint.response(200, enveloped("WorkerStarted", fields.String(required=True)))
@blueprint.errors(404, 409, 501, 503)
@cost(launches=True)
@permission(Permission.TASKS_STEER, action="workers:start")
def start_worker(workflow_name: str, worker_name: str) -> Response:
    """Start a worker that does not run: at once, whatever it waits for; it starts no other."""
    services().standing.start_task(workflow_name, worker_name, caller())
    return answer(f"Worker '{workflow_name}/{worker_name}' started")


@blueprint.route(f"{_WORKER}/stop", methods=["POST"])
@blueprint.response(200, enveloped("WorkerStopped", fields.String(required=True)))
@blueprint.errors(404, 409, 501, 503)
@permission(Permission.TASKS_STEER, action="workers:stop")
def stop_worker(workflow_name: str, worker_name: str) -> Response:
    """Stop a worker with all that it started, or before its turn; what has ended stays so."""
    services().standing.stop_task(workflow_name, worker_name, caller())
    return answer(f"Worker '{workflow_name}/{worker_name}' stopped")


@blueprint.route(f"{_WORKER}/restart", methods=["POST"])
@blueprint.response(200, enveloped("WorkerRestarted", fields.String(required=True)))
@blueprint.errors(404, 409, 501, 503)
@cost(launches=True)
@permission(Permission.TASKS_STEER, action="workers:restart")
def restart_worker(workflow_name: str, worker_name: str) -> Response:
    """Run a worker once more; what runs of it is stopped before. It starts no other."""
    services().standing.restart_task(workflow_name, worker_name, caller())
    return answer(f"Worker '{workflow_name}/{worker_name}' restarted")


@blueprint.route(f"{_WORKER}/logs", methods=["GET"])
@blueprint.response(200, enveloped("WorkerLogs", fields.List(fields.String(), required=True)))
@blueprint.errors(404, 503)
@permission(Permission.EXECUTIONS_READ)
def get_logs(workflow_name: str, worker_name: str) -> Response:
    """Get the paths of the files that hold what the worker prints, one for each stream.

    Each run makes them anew; before the first there are none yet.
    """
    folder = services().standing.task(workflow_name, worker_name, caller()).spec.log_dir
    return shown([f"{name}: {folder}/{name}.log" for name in ("stdout", "stderr")])


@blueprint.route(f"{_WORKER}/logs/stream", methods=["GET"])
@blueprint.arguments(StreamHeadersSchema, location="headers")
@blueprint.response(200, {"type": "string"}, content_type=WattleSse.content_type)
@blueprint.errors(404, 429, 503)
@permission(Permission.EXECUTIONS_READ)
def follow_logs(headers: dict[str, Any], workflow_name: str, worker_name: str) -> Response:
    """Follow what the worker prints, as server-sent events: first what there is, then live.

    It waits for a worker that has not begun, and ends when the worker has ended.
    """
    after = headers.get("last_event_id")
    follow = services().standing_follow
    events = follow.steps(workflow_name, worker_name, caller_by_now(), after)
    return stream(events, WattleSse, caller())


@blueprint.route(f"{_WORKER}/metrics", methods=["GET"])
@blueprint.response(200, enveloped("WorkerMetrics", fields.Nested(MeasuredSchema, required=True)))
@blueprint.errors(404, 503)
@permission(Permission.EXECUTIONS_READ)
def get_metrics(workflow_name: str, worker_name: str) -> Response:
    """Get what a worker takes of its machine, as it was measured last."""
    found = services().standing.task(workflow_name, worker_name, caller())
    return shown({"metrics": metrics_json(found.state)})


@blueprint.route(_WORKER, methods=["DELETE"])
@blueprint.response(200, enveloped("WorkerDeleted", fields.String(required=True)))
@blueprint.errors(404, 409, 503)
@permission(Permission.WORKFLOWS_WRITE, action="workers:delete")
def delete_worker(workflow_name: str, worker_name: str) -> Response:
    """Delete a worker that does not run."""
    services().standing.delete(workflow_name, worker_name, caller())
    return answer(f"Worker '{workflow_name}/{worker_name}' deleted successfully")

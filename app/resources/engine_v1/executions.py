"""``/api/v1/executions``: list, watch, steer."""

from __future__ import annotations

from typing import Any, Final

import marshmallow as ma
from flask import Response
from marshmallow import fields, validate

from app.domain import ExecutionFilter, ExecutionStatus, Permission
from app.errors import Conflict, NodesMissing
from app.resources._api import PAGINATION_HEADER, Page, PageArgsSchema, write_json
from app.resources._arguments import EndArgsSchema
from app.resources._audit import act_as
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.resources.engine_v1.behind import execution_of, require_load
from app.resources.engine_v1.entities import (
    ExecutionRowSchema,
    ExecutionSchema,
    execution_json,
    execution_row,
    id_of,
)
from app.resources.engine_v1.errors import JSON_TYPE, failing_as
from app.resources.engine_v1.figures import MetricsSchema, metrics_json
from app.resources.engine_v1.requests import (
    Blueprint,
    DoneSchema,
    JsonInteger,
    RequestSchema,
    done,
)

blueprint = Blueprint(
    "executions", __name__, url_prefix="/executions", description="What was submitted"
)
blueprint.before_request(require_load)

_EXECUTION: Final = "/<string:execution_id>"
_PAGE_SIZE: Final = 1000


class ExecutionListSchema(ma.Schema):
    """Executions."""

    executions = fields.List(fields.Nested(ExecutionRowSchema), required=True)
    total = fields.Integer(required=True, metadata={"description": "How many there are in all"})


class ScaleSchema(RequestSchema):
    """How many virtual users there are to be."""

    target_vus = JsonInteger(required=True, validate=validate.Range(0), metadata={"example": 5})


@blueprint.route("", methods=["GET"])
@blueprint.arguments(PageArgsSchema, location="query")
@blueprint.response(200, ExecutionListSchema, headers=PAGINATION_HEADER)
@blueprint.errors(400, 501, 503)
@permission(Permission.EXECUTIONS_READ)
def list_executions(args: dict[str, Any]) -> Any:
    """List executions, newest first: the newest thousand, unless pages are asked for."""
    page = Page(args.get("page", 1), args.get("page_size", _PAGE_SIZE))
    wanted = ExecutionFilter(orchestrator=services().submissions.orchestrator)
    found, total = services().executions.find(wanted, caller(), page.offset, page.size)
    body = write_json({"executions": [execution_row(each) for each in found], "total": total})
    return Response(body, content_type=JSON_TYPE, headers=page.header(total))


@blueprint.route(_EXECUTION, methods=["GET"])
@blueprint.response(200, ExecutionSchema)
@blueprint.errors(404, 410, 501, 503)
@permission(Permission.EXECUTIONS_READ)
def get_execution(execution_id: str) -> Any:
    """Get an execution, and what each slave does for it."""
    execution = execution_of(execution_id)
    metrics = services().load_metrics.of(execution)
    return Response(write_json(execution_json(execution, metrics)), content_type=JSON_TYPE)


@blueprint.route(f"{_EXECUTION}/pause", methods=["POST"])
@blueprint.response(200, DoneSchema)
@blueprint.errors(400, 404, 410, 501, 503)
@permission(Permission.EXECUTIONS_STEER)
def pause_execution(execution_id: str) -> Any:
    """Pause an execution: requests under way end, and its clock stands still."""
    execution = execution_of(execution_id)
    with failing_as("pause_failed"):
        if execution.status is ExecutionStatus.PAUSED:
            raise Conflict("The execution is paused already.")
        services().steering.pause(execution.id, caller())
    return done("Execution paused successfully")


@blueprint.route(f"{_EXECUTION}/resume", methods=["POST"])
@blueprint.response(200, DoneSchema)
@blueprint.errors(400, 404, 410, 501, 503)
@permission(Permission.EXECUTIONS_STEER)
def resume_execution(execution_id: str) -> Any:
    """Let a paused execution go on where it stood."""
    execution = execution_of(execution_id)
    with failing_as("resume_failed"):
        services().steering.resume(execution.id, caller())
    return done("Execution resumed successfully")


@blueprint.route(f"{_EXECUTION}/scale", methods=["POST"])
@blueprint.arguments(ScaleSchema)
@blueprint.response(200, DoneSchema)
@blueprint.errors(400, 404, 410, 413, 415, 501, 503)
@permission(Permission.EXECUTIONS_STEER, action="executions:scale")
def scale_execution(body: dict[str, Any], execution_id: str) -> Any:
    """Change the number of virtual users of an execution that runs or is paused."""
    execution = execution_of(execution_id)
    with failing_as("scale_failed"), failing_as("scale_failed", NodesMissing):
        services().steering.scale(execution.id, body["target_vus"], caller())
    return done("Execution scaled successfully")


@blueprint.route(_EXECUTION, methods=["DELETE"])
@blueprint.arguments(EndArgsSchema, location="query")
@blueprint.response(200, DoneSchema)
@blueprint.errors(400, 404, 410, 501, 503)
@permission(Permission.EXECUTIONS_CANCEL)
def stop_execution(args: dict[str, Any], execution_id: str) -> Any:
    """Stop an execution: requests under way are cut after two seconds.

    With `purge=true` one that has ended is removed for good, with its metrics and its log.
    """
    execution = execution_of(execution_id)
    if args["purge"]:
        act_as(Permission.EXECUTIONS_PURGE)
        with failing_as("purge_failed"):
            services().purging.purge(execution.id, caller())
        return done("Execution purged successfully")
    with failing_as("stop_failed"):
        if execution.status.final:  # which for one that was cancelled the service lets pass
            raise Conflict("The execution has ended already.")
        services().steering.cancel(execution.id, caller())
    return done("Execution stopped successfully")


@blueprint.route(f"{_EXECUTION}/metrics", methods=["GET"])
@blueprint.response(200, MetricsSchema)
@blueprint.errors(404, 410, 501, 503)
@permission(Permission.EXECUTIONS_READ)
def get_metrics(execution_id: str) -> Any:
    """Get what an execution has done so far."""
    execution = execution_of(execution_id)
    metrics = services().load_metrics.of(execution)
    body = write_json(metrics_json(id_of(execution), metrics))
    return Response(body, content_type=JSON_TYPE)

"""Virtual users of executions, in the root API: their number, and what they have done."""

from __future__ import annotations

from typing import Any

from flask import Response
from marshmallow import fields

from app.domain import Permission
from app.errors import FieldError, InvalidRequest
from app.resources._api import UPSTREAM, Blueprint, empty, write_json
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.resources.root.forms import execution_parameter
from app.resources.root.serialisers.load import MetricsSchema, metrics_json, point_json
from app.settings.schema import WholeNumber

blueprint = Blueprint("load", __name__, description="Virtual users")


class ScaleSchema(ArgumentsSchema):
    """How many there shall be."""

    target_vus = WholeNumber(
        metadata={"description": "Virtual users in all, from 0; required", "example": 5}
    )


class MetricsArgsSchema(ArgumentsSchema):
    """How much of the metrics."""

    series = fields.Boolean(
        load_default=False, metadata={"description": "With the course of the execution"}
    )


@blueprint.route(
    "/executions/<string:execution_id>/scale", methods=["POST"], parameters=execution_parameter()
)
@blueprint.arguments(ScaleSchema)
@blueprint.response(202, description="Another number was asked for")
@blueprint.errors(400, 404, 410, 409, 413, 415, 422, 501, *UPSTREAM)
@permission(Permission.EXECUTIONS_STEER)
def scale_execution(body: dict[str, Any], execution_id: str) -> Response:
    """Ask for another number of virtual users, of an execution that runs or is paused."""
    identity = caller()
    execution = services().executions.get(execution_id, identity)  # before the body is judged
    if "target_vus" not in body:
        fault = FieldError("target_vus", "is missing")
        raise InvalidRequest("The request has faults.", fields=(fault,))
    services().steering.scale(execution.id, body["target_vus"], identity)
    return empty(202)


@blueprint.route(
    "/executions/<string:execution_id>/metrics", methods=["GET"], parameters=execution_parameter()
)
@blueprint.arguments(MetricsArgsSchema, location="query")
@blueprint.response(200, MetricsSchema)
@blueprint.errors(404, 410, 501, *UPSTREAM)
@permission(Permission.EXECUTIONS_READ)
def get_metrics(args: dict[str, Any], execution_id: str) -> Response:
    """Get what the virtual users of an execution have done so far."""
    metrics, identity = services().load_metrics, caller()
    body = metrics_json(*metrics.get(execution_id, identity))
    if args["series"]:
        body["series"] = [point_json(each) for each in metrics.series(execution_id, identity)]
    return Response(write_json(body), content_type="application/json")

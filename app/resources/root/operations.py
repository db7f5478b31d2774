"""``/operations`` of the root API: what became of what a conductor carries out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from flask import Response
from marshmallow import validate

from app.domain import Operation, Permission
from app.resources._api import Blueprint, only_document, write_json
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._held import answered
from app.resources._limits import cost, waits_by
from app.resources._operations import until_carried_out
from app.resources._permissions import permission
from app.resources.root.serialisers.operations import OperationSchema, operation_json
from app.services.operations import WAIT_SECONDS
from app.settings.schema import Duration

blueprint = Blueprint("operations", __name__, description="What was asked for and takes a while")

LOCATION: Final = {
    "Location": {"description": "Address of the operation", "schema": {"type": "string"}}
}


class OperationArgsSchema(ArgumentsSchema):
    """How long to wait."""

    wait = Duration(
        load_default="0s",
        validate=validate.Range(max=WAIT_SECONDS),
        metadata={"description": "Answer when it has ended, at the latest after this"},
    )


@blueprint.route("/operations/<string:operation_id>", methods=["GET"])
@blueprint.arguments(OperationArgsSchema, location="query")
@only_document(blueprint.response(200, OperationSchema))
@blueprint.errors(404, 503)
@cost(is_poll=waits_by("wait", by_default=False))
@permission(Permission.IDENTITY_READ)
def get_operation(args: dict[str, Any], operation_id: str) -> Response:
    """Get an operation of yours, at once, or when it has ended.

    Those that ended are kept for a day.
    """
    return answered(services().operations.wait(operation_id, caller(), args["wait"]), _told)


def carried_out(operation: Operation) -> Response:
    """Answer with what came out of an operation that was just filed, or else where that will be."""
    return answered(until_carried_out(operation), _accepted, has_effect=True)


def _told(operation: Operation, status: int = HTTPStatus.OK, **headers: str) -> Response:
    body = write_json(operation_json(operation))
    return Response(body, status, headers, content_type="application/json")


def _accepted(operation: Operation) -> Response:
    if operation.state.final:
        return _told(operation)
    return _told(operation, HTTPStatus.ACCEPTED, Location=f"/operations/{operation.id}")

"""``/orchestrators`` of the root API: what runs workflows, and whether it is well."""

from __future__ import annotations

from typing import Any, Final

import marshmallow as ma
from flask import Response
from marshmallow import fields

from app.domain import Permission
from app.resources._api import Blueprint, only_document
from app.resources._auth import caller
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.resources.root.operations import LOCATION, carried_out
from app.resources.root.serialisers.operations import OperationSchema

blueprint = Blueprint("orchestrators", __name__, description="What runs workflows")

_DONE: Final = "What was found: `result.ok`, and one entry of `result.checks` for each thing"
_LATER: Final = "It takes longer: the operation will say what was found"


class ConfiguredOrchestratorSchema(ma.Schema):
    """Something that runs workflows."""

    name = fields.String(required=True, metadata={"example": "hpc"})
    can = fields.List(
        fields.String(), required=True, metadata={"description": "Beside what all of them can"}
    )
    elsewhere = fields.Boolean(
        required=True, metadata={"description": "Its commands run on other machines, as a cluster"}
    )


class OrchestratorListSchema(ma.Schema):
    """Orchestrators."""

    orchestrators = fields.List(fields.Nested(ConfiguredOrchestratorSchema), required=True)


@blueprint.route("/orchestrators", methods=["GET"])
@blueprint.response(200, OrchestratorListSchema)
@blueprint.errors(503)
@permission(Permission.WORKFLOWS_READ)
def list_orchestrators() -> dict[str, Any]:
    """List what runs workflows, in the order of the settings."""
    return {"orchestrators": services().orchestrators.all(caller())}


@blueprint.route("/orchestrators/<string:orchestrator>/check", methods=["POST"])
@only_document(blueprint.response(200, OperationSchema, description=_DONE))
@only_document(
    blueprint.alt_response(202, schema=OperationSchema, headers=LOCATION, description=_LATER)
)
@blueprint.errors(404, 429, 503)
@cost(5)
@permission(Permission.EXECUTIONS_RUN)
def check_orchestrator(orchestrator: str) -> Response:
    """Have a conductor look at all that an orchestrator needs, one thing after the other.

    Of a cluster that is its name, port and host key, the login with your own key, the clock, the
    folder of executions, the room and the quota, the scheduler, its partitions and its accounting.
    Each entry of `result.checks` has a `name`, an `outcome` (`ok`, `warning` or `failed`), a `text`
    and a `fix`. It is answered with 200 within 20 seconds, or else with 202.
    """
    return carried_out(services().orchestrators.check(orchestrator, caller()))

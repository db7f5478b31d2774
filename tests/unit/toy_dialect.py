"""An API of nothing but a tally of executions, written from ``docs/guides/extending.md`` alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import marshmallow as ma
from flask import Response
from marshmallow import fields, validate

from app.domain import ExecutionFilter, Permission
from app.identity.registry import security_schemes
from app.resources._api import Blueprint, Name, write_json
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._dialect import Dialect, Document, ErrorRenderer
from app.resources._errors import Failure
from app.resources._permissions import permission

MOST = 100


class SorrySchema(ma.Schema):
    """What went wrong."""

    sorry = fields.String(required=True)
    word = fields.String(required=True)
    faults = fields.Dict(keys=fields.String(), values=fields.String())


class ToyErrors(ErrorRenderer):
    """Renders errors as an apology; whatever the caller did wrong is a 400 here."""

    content_type = "application/vnd.toy+json"
    schema = SorrySchema

    def render(self, failure: Failure) -> Response:
        body = {
            "sorry": failure.detail,
            "word": failure.code.upper(),
            "faults": {fault.path: fault.message for fault in failure.fields},
        }
        status = 400 if failure.status == 422 else failure.status.value
        return Response(write_json(body), status, content_type=self.content_type)


blueprint = Blueprint("tallies", __name__, url_prefix="/tallies", description="Counted things")


class WantedSchema(ArgumentsSchema):
    """What to count."""

    workflow = Name(metadata={"description": "Executions of this workflow only"})
    most = fields.Integer(load_default=MOST, validate=validate.Range(1, MOST))


class TallySchema(ma.Schema):
    """How many executions there are in each state."""

    states = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


@blueprint.route("/executions", methods=["POST"])
@blueprint.arguments(WantedSchema)
@blueprint.response(200, TallySchema)
@blueprint.errors(400, 413, 415, 503)
@permission(Permission.EXECUTIONS_READ)
def count(wanted: dict[str, Any]) -> Any:
    """Count executions by their state."""
    chosen = ExecutionFilter(None, wanted.get("workflow"), None)
    found, _ = services().executions.find(chosen, caller(), 0, wanted["most"])
    return {"states": Counter(str(execution.status) for execution in found)}


DIALECT = Dialect(
    name="toy",
    prefix="/toy",
    blueprints=(blueprint,),
    errors=ToyErrors(),
    document=Document(
        title="Tallies",
        description="Counts executions.",
        security_schemes=security_schemes(),
    ),
)

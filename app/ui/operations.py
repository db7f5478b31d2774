"""``/ui/operations/<id>``: what became of what a conductor carries out, for who asked for it."""

from __future__ import annotations

from flask import Blueprint, Response

from app.domain import Permission
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.ui._key_outcomes import Part, is_about_key, outcome
from app.ui._keys import HERE
from app.ui._render import page

blueprint = Blueprint("operations", __name__)


@blueprint.get("/operations/<string:operation_id>")
@permission(Permission.IDENTITY_READ)
def show(operation_id: str) -> Response:
    """Show how far it is, or what came of it."""
    found = services().operations.get(operation_id, caller())
    is_of_key = is_about_key(found)
    part = outcome(found, caller()) if is_of_key else Part("other", "Operation", {})
    return page(
        "operation.html", title=part.title, current=HERE if is_of_key else "", part=part.template,
        is_open=not found.state.final, **{**part.context, "operation": found},
    )  # fmt: skip

"""``/ui/executions/<id>``: one execution: how it stands, why it failed, and what can be done."""

from __future__ import annotations

from flask import Blueprint, Response

from app.domain import Permission
from app.resources._auth import caller
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.ui._execution_page import page_of

blueprint = Blueprint("execution", __name__)


@blueprint.get("/executions/<string:execution_id>")
@cost(2)
@permission(Permission.EXECUTIONS_READ)
def show(execution_id: str) -> Response:
    """Show it: what decides, and one of the views below."""
    execution = services().executions.get(execution_id, caller())
    return page_of(execution, caller())

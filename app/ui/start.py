"""``/ui/``: where people come first."""

from __future__ import annotations

from flask import Blueprint, Response

from app.domain import Permission
from app.resources._limits import free
from app.resources._permissions import permission
from app.ui._forms import see_other

blueprint = Blueprint("start", __name__)

FIRST = "/ui/workflows"


@blueprint.get("/")
@free
@permission(Permission.WORKFLOWS_READ)
def start() -> Response:
    """Lead to what somebody sees first."""
    return see_other(FIRST)

"""``/system`` of the root API: how the service is, for those who run it."""

from __future__ import annotations

from typing import Any

from app.domain import Permission
from app.resources._api import Blueprint
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.resources.root.serialisers.system import FiguresSchema, SystemSchema

blueprint = Blueprint("system", __name__, description="How the service is")


@blueprint.route("/system", methods=["GET"])
@blueprint.response(200, SystemSchema)
@blueprint.errors(503)
@permission(Permission.SYSTEM_READ)
def get_system() -> Any:
    """Return how the service is: what is not well, who drives what, what waits, what failed.

    It is the same from whichever web process, and a few seconds old at the most; figures of web
    processes up to ten.
    """
    return services().system.state(caller())


@blueprint.route("/system/figures", methods=["GET"])
@blueprint.response(200, FiguresSchema)
@blueprint.errors(503)
@permission(Permission.SYSTEM_READ)
def get_system_figures() -> Any:
    """Return how the service was in each of the last sixty minutes, of all web processes."""
    return services().system.course(caller())

"""``/ui/executions/<id>/timeline``: when its steps waited and ran, as large as can be."""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint, Response

from app.domain import Permission
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.ui._render import page
from app.ui._timeline import timeline_of

blueprint = Blueprint("timeline", __name__)


@blueprint.get("/executions/<string:execution_id>/timeline")
@permission(Permission.EXECUTIONS_READ)
def of_execution(execution_id: str) -> Response:
    """Show it."""
    known = services().executions
    execution = known.get(execution_id, caller())
    times = timeline_of(execution, known.tasks_of(execution), known.attempts_of(execution))
    return page(
        "timeline.html",
        title=f"Timeline of {execution.workflow_name}",
        current="/ui/executions",
        times=times,
        execution=execution,
        back=f"/ui/executions/{quote(execution.id, safe='')}",
    )

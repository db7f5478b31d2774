"""``/ui/executions/<id>/graph`` and ``/ui/workflows/<id>/graph``: graphs, as large as can be."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from flask import Blueprint, Response, request

from app.domain import Permission
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.services.graphs import MOST_OPENED, View
from app.ui import _addresses
from app.ui._graph import execution_picture, workflow_picture
from app.ui._render import page

blueprint = Blueprint("graph", __name__)

_LONGEST: Final = 255


@blueprint.get("/executions/<string:execution_id>/graph")
@permission(Permission.EXECUTIONS_READ)
def of_execution(execution_id: str) -> Response:
    """Show the graph of what was launched, with the states of its tasks."""
    execution = services().executions.get(execution_id, caller())
    graph = services().graphs.of_launched(execution, caller(), _view())
    picture = execution_picture(graph, execution.id, draw=_draws())
    here = f"/ui/executions/{quote(execution.id, safe='')}"
    return page(
        "graph.html",
        title=f"Graph of {execution.workflow_name}",
        current="/ui/executions",
        picture=picture,
        name=execution.workflow_name,
        execution=execution,
        back=here,
        list_at=f"{here}/timeline",
        view=_view(),
        draws=_draws(),
    )


@blueprint.get("/workflows/<string:reference>/graph")
@permission(Permission.WORKFLOWS_READ)
def of_workflow(reference: str) -> Response:
    """Show the graph of a workflow's steps."""
    orchestrator = request.args.get("orchestrator") or None
    described = services().workflows.describe(reference, caller(), orchestrator)
    graph = services().graphs.of_description(described, caller(), _view())
    where = "/ui/workflows", described.workflow.id, orchestrator
    return page(
        "graph.html",
        title=f"Graph of {described.workflow.name}",
        current="/ui/workflows",
        picture=workflow_picture(graph, _addresses.of_workflow(*where, "/graph"), draw=_draws()),
        name=described.workflow.name,
        execution=None,
        back=_addresses.of_workflow(*where),
        list_at="",
        view=_view(),
        draws=_draws(),
    )


def _view() -> View:
    opened = request.args.getlist("open")[:MOST_OPENED]
    return View(tuple(name[:_LONGEST] for name in opened), request.args.get("folded") != "no")


def _draws() -> bool:
    return request.args.get("draw") == "yes"

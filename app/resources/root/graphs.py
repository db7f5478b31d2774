"""Graphs of the root API: how the steps of a workflow, or of what was launched, hang together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flask import Response
from marshmallow import fields, validate

from app.domain import Permission
from app.resources._api import UPSTREAM, Blueprint, write_json
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.resources._repeated import Repeated
from app.resources.root.examples import TASK
from app.resources.root.forms import execution_parameter
from app.resources.root.one_task import LONGEST_TASK
from app.resources.root.serialisers.graph import GraphSchema, graph_json
from app.resources.root.workflows import OrchestratorArgsSchema
from app.services.graphs import MOST_OPENED, Graph, View

_JSON: Final = "application/json"

blueprint = Blueprint("graphs", __name__, description="How steps hang together")


class GraphArgsSchema(ArgumentsSchema):
    """How a graph is seen."""

    open = Repeated(
        fields.String(validate=validate.Length(max=LONGEST_TASK), metadata={"example": TASK}),
        load_default=[],
        validate=validate.Length(max=MOST_OPENED),
        metadata={
            "description": "A step: the box that would hold it with others is drawn as its steps; "
            "may be repeated",
        },
    )
    folded = fields.Boolean(
        load_default=True,
        metadata={"description": "Draw steps of a large graph as one box where they need the same"},
    )


class WorkflowGraphArgsSchema(GraphArgsSchema, OrchestratorArgsSchema):
    """How the graph of a workflow is seen, and where to look for it."""


@blueprint.route("/workflows/<string:reference>/graph", methods=["GET"])
@blueprint.arguments(WorkflowGraphArgsSchema, location="query")
@blueprint.response(200, GraphSchema)
@blueprint.errors(404, 409, *UPSTREAM)
@permission(Permission.WORKFLOWS_READ)
def get_workflow_graph(args: dict[str, Any], reference: str) -> Response:
    """Get the graph of a workflow's steps, laid out."""
    view = _view(args)
    return _answer(
        services().graphs.of_workflow(reference, caller(), args.get("orchestrator"), view)
    )


@blueprint.route(
    "/executions/<string:execution_id>/graph", methods=["GET"], parameters=execution_parameter()
)
@blueprint.arguments(GraphArgsSchema, location="query")
@blueprint.response(200, GraphSchema)
@blueprint.errors(404, 410, *UPSTREAM)
@permission(Permission.EXECUTIONS_READ)
def get_execution_graph(args: dict[str, Any], execution_id: str) -> Response:
    """Get the graph of what was launched, laid out, with the states of its tasks.

    It is that of the definition as it was then, while that is kept.
    """
    return _answer(services().graphs.of_execution(execution_id, caller(), _view(args)))


def _view(args: Mapping[str, Any]) -> View:
    return View(tuple(args["open"]), args["folded"])


def _answer(graph: Graph) -> Response:
    with services().turns.turn(caller().username):
        body = write_json(graph_json(graph))
    return Response(body, content_type=_JSON)

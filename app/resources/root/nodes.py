"""``/nodes`` of the root API: the machines that work for the service."""

from __future__ import annotations

import marshmallow as ma
from flask import Response
from marshmallow import fields

from app.domain import Permission
from app.resources._api import UPSTREAM, Blueprint, empty, only_document, write_json
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.resources.root.operations import LOCATION, carried_out
from app.resources.root.serialisers.load import NodeSchema, node_json
from app.resources.root.serialisers.operations import OperationSchema

_JSON = "application/json"
_CARRIED_OUT = "A node of a cluster, which a conductor asked; the operation says what came of it"
_FILED = "A node of a cluster; it takes longer, and the operation will say what came of it"

blueprint = Blueprint("nodes", __name__, description="Machines that work for the service")


class NodeListSchema(ma.Schema):
    """Nodes."""

    nodes = fields.List(fields.Nested(NodeSchema), required=True)


@blueprint.route("/nodes", methods=["GET"])
@blueprint.response(200, NodeListSchema)
@blueprint.errors(501, *UPSTREAM)
@permission(Permission.NODES_READ)
def list_nodes() -> Response:
    """List the nodes, those that are away among them."""
    nodes = services().nodes.all(caller())
    return Response(write_json({"nodes": [node_json(node) for node in nodes]}), content_type=_JSON)


@blueprint.route("/nodes/<string:node_id>", methods=["GET"])
@blueprint.response(200, NodeSchema)
@blueprint.errors(404, 501, *UPSTREAM)
@permission(Permission.NODES_READ)
def get_node(node_id: str) -> Response:
    """Get one node."""
    node = services().nodes.get(node_id, caller())
    return Response(write_json(node_json(node)), content_type=_JSON)


@blueprint.route("/nodes/<string:node_id>/drain", methods=["POST"])
@blueprint.response(204, description="It gets no new work")
@only_document(blueprint.alt_response(200, schema=OperationSchema, description=_CARRIED_OUT))
@only_document(
    blueprint.alt_response(202, schema=OperationSchema, headers=LOCATION, description=_FILED)
)
@blueprint.errors(404, 429, 501, *UPSTREAM)
@permission(Permission.NODES_WRITE)
def drain_node(node_id: str) -> Response:
    """Let a node have no new work; what it has begun goes on to its end. Twice is fine."""
    filed = services().nodes.drain(node_id, caller())
    return empty(204) if filed is None else carried_out(filed)


@blueprint.route("/nodes/<string:node_id>/undrain", methods=["POST"])
@blueprint.response(204, description="It gets new work again")
@only_document(blueprint.alt_response(200, schema=OperationSchema, description=_CARRIED_OUT))
@only_document(
    blueprint.alt_response(202, schema=OperationSchema, headers=LOCATION, description=_FILED)
)
@blueprint.errors(404, 429, 501, *UPSTREAM)
@permission(Permission.NODES_WRITE)
def undrain_node(node_id: str) -> Response:
    """Let a node have new work again. Twice is fine."""
    filed = services().nodes.undrain(node_id, caller())
    return empty(204) if filed is None else carried_out(filed)

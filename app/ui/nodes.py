"""``/ui/nodes``: the machines that work for the service, those first that need somebody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flask import Blueprint, Response

from app.domain import Node, NodeState, Operation, Permission
from app.errors import CapabilityMissing
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.ui._forms import Notice, see_other
from app.ui._render import may, page
from app.ui._words import Word

blueprint = Blueprint("nodes", __name__)

_PATH: Final = "/ui/nodes"
STATES: Final[Mapping[str, Word]] = {
    NodeState.OFFLINE: Word("Gone", "bad"),
    NodeState.BUSY: Word("Busy", "unsettled"),
    NodeState.DRAINING: Word("Draining", "paused"),
    NodeState.ONLINE: Word("Online", "good"),
}
"""The worst first."""


@blueprint.get("/nodes")
@permission(Permission.NODES_READ)
def show() -> Response:
    """Show them."""
    try:
        nodes = sorted(services().nodes.all(caller()), key=_badness)
    except CapabilityMissing:
        nodes = []
    drainable = services().nodes.drainable()
    sees_conductors = may(Permission.SYSTEM_READ)
    conductors = services().system.conductors(caller()) if sees_conductors else ()
    return page(
        "nodes.html",
        title="Nodes",
        current=_PATH,
        nodes=nodes,
        drainable=drainable,
        conductors=conductors,
        states=STATES,
        draining=NodeState.DRAINING,
    )


@blueprint.post("/nodes/<string:node_id>/drain")
@permission(Permission.NODES_WRITE, form=True)
def drain(node_id: str) -> Response:
    """Let a node have no new work."""
    text = f"{node_id} gets no new work; what it has begun goes on."
    return _changed(services().nodes.drain(node_id, caller()), text)


@blueprint.post("/nodes/<string:node_id>/undrain")
@permission(Permission.NODES_WRITE, form=True)
def undrain(node_id: str) -> Response:
    """Let a node have new work again."""
    filed = services().nodes.undrain(node_id, caller())
    return _changed(filed, f"{node_id} gets new work again.")


def _changed(filed: Operation | None, text: str) -> Response:
    if filed is not None:
        text = f"A conductor asks the cluster of {filed.subject}, which takes a moment."
    return see_other(_PATH, Notice(text))


def _badness(node: Node) -> tuple[int, float, str]:
    order = list(STATES)
    place = order.index(NodeState(node.state)) if node.state in order else len(order)
    return place, -node.load, node.id

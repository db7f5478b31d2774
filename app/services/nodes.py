"""Nodes: the machines that work for the service, as the orchestrators know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.clients.orchestrator import Capability, Orchestrator, drainer, node_keeper
from app.domain import Identity, Node, Permission
from app.errors import CapabilityMissing, NotFound
from app.identity.permissions import require
from app.load.protocol import SLAVE_ID

NODE_ID_PATTERN: Final = SLAVE_ID.pattern
"""What nodes may be called: slaves are the nodes that there are."""


class NodeService:
    """Lists and drains the nodes of all orchestrators that have any.

    Args:
        orchestrators: The orchestrators by name.
    """

    def __init__(self, orchestrators: Mapping[str, Orchestrator]) -> None:
        self._keepers = [o for o in orchestrators.values() if Capability.NODES in o.capabilities]

    def all(self, identity: Identity) -> list[Node]:
        """List the nodes, by id, those that are away among them.

        Raises:
            NotAllowed: The caller lacks the permission.
            CapabilityMissing: No orchestrator has nodes that it tells.
        """
        require(identity, Permission.NODES_READ)
        nodes = [node for each in self._having() for node in node_keeper(each).nodes()]
        return sorted(nodes, key=lambda node: node.id)

    def get(self, node_id: str, identity: Identity) -> Node:
        """Get one.

        Raises:
            NotAllowed: The caller lacks the permission.
            NotFound: There is none with this id.
            CapabilityMissing: No orchestrator has nodes that it tells.
        """
        require(identity, Permission.NODES_READ)
        return self._find(node_id)[1]

    def drain(self, node_id: str, identity: Identity) -> None:
        """Give a node no new work; what it has begun goes on to its end. Twice is fine.

        Raises:
            NotAllowed: The caller lacks the permission.
            NotFound: There is none with this id.
            CapabilityMissing: The nodes of its orchestrator cannot be drained.
        """
        require(identity, Permission.NODES_WRITE)
        drainer(self._find(node_id)[0]).drain(node_id)

    def undrain(self, node_id: str, identity: Identity) -> None:
        """Let a node have new work again; see :meth:`drain`."""
        require(identity, Permission.NODES_WRITE)
        drainer(self._find(node_id)[0]).undrain(node_id)

    def _find(self, node_id: str) -> tuple[Orchestrator, Node]:
        for orchestrator in self._having():
            try:
                return orchestrator, node_keeper(orchestrator).node(node_id)
            except NotFound:
                continue
        raise NotFound("There is no such node.")

    def _having(self) -> list[Orchestrator]:
        if not self._keepers:
            raise CapabilityMissing("No orchestrator has nodes that it could tell.")
        return self._keepers

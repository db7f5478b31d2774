"""Nodes: the machines that work for the service, as the orchestrators know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from app.clients.orchestrator import Capability, Orchestrator, drainer, node_keeper
from app.domain import Identity, Node, Operation, Permission
from app.errors import CapabilityMissing, NotFound
from app.identity.permissions import require
from app.load.protocol import SLAVE_ID
from app.services.operations import OperationService
from app.services.orchestrator_requests import DRAIN, UNDRAIN

SLAVE_ID_PATTERN: Final = SLAVE_ID.pattern
"""What nodes may be called that run virtual users."""
NODE_ID_PATTERN: Final = r"[A-Za-z0-9._~-]{1,200}"
"""What nodes may be called: what slaves may, and clusters with a name of theirs."""


class NodeService:
    """Lists and drains the nodes of orchestrators that have any.

    Args:
        orchestrators: The orchestrators by name.
        operations: Files what conductors carry out.
    """

    def __init__(
        self, orchestrators: Mapping[str, Orchestrator], operations: OperationService
    ) -> None:
        self._keepers = [o for o in orchestrators.values() if Capability.NODES in o.capabilities]
        self._operations = operations

    @property
    def slaves(self) -> NodeService:
        """The same for the nodes that run virtual users, and no others."""
        measured = {o.name: o for o in self._keepers if Capability.METRICS in o.capabilities}
        return NodeService(measured, self._operations)

    def all(self, identity: Identity) -> list[Node]:
        """List the nodes, by id, those that are away among them.

        Raises:
            NotAllowed: The caller lacks the permission.
            CapabilityMissing: No orchestrator has nodes that it tells.
        """
        require(identity, Permission.NODES_READ)
        nodes = [
            replace(node, orchestrator=each.name)
            for each in self._having()
            for node in node_keeper(each).nodes()
        ]
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

    def drainable(self) -> frozenset[str]:
        """Return the names of the orchestrators whose nodes can be drained."""
        return frozenset(o.name for o in self._keepers if Capability.DRAIN in o.capabilities)

    def drain(self, node_id: str, identity: Identity) -> Operation | None:
        """Take a node out of work, and return what a conductor carries out for that, if one must.

        What it has begun goes on to its end. Twice is fine.

        Returns:
            What a conductor carries out, where only conductors can; else it is done.

        Raises:
            NotAllowed: The caller lacks the permission.
            NotFound: There is none with this id.
            CapabilityMissing: The nodes of its orchestrator cannot be drained.
        """
        return self._change(DRAIN, node_id, identity)

    def undrain(self, node_id: str, identity: Identity) -> Operation | None:
        """Let a node have new work again, and return as :meth:`drain` does."""
        return self._change(UNDRAIN, node_id, identity)

    def _change(self, kind: str, node_id: str, identity: Identity) -> Operation | None:
        require(identity, Permission.NODES_WRITE)
        behind, _ = self._find(node_id)
        drains = drainer(behind)
        if behind.only_conductors:
            return self._operations.file(kind, node_id, {"orchestrator": behind.name}, identity)
        (drains.drain if kind == DRAIN else drains.undrain)(node_id)
        return None

    def _find(self, node_id: str) -> tuple[Orchestrator, Node]:
        for orchestrator in self._having():
            try:
                node = node_keeper(orchestrator).node(node_id)
            except NotFound:
                continue
            return orchestrator, replace(node, orchestrator=orchestrator.name)
        raise NotFound("There is no such node.")

    def _having(self) -> list[Orchestrator]:
        if not self._keepers:
            raise CapabilityMissing("No orchestrator has nodes that it could tell.")
        return self._keepers

"""What a cluster has: asked for now and then by conductors, and noted for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from app.clients.slurm import configured, nodes
from app.clients.slurm.nodes import ClusterNode
from app.clients.slurm.partitions import Partition
from app.domain import Node, NodeState
from app.engine.launchers.job_records import clean_text
from app.engine.launchers.slurm.cluster import Cluster
from app.engine.launchers.slurm.fit import Fit
from app.engine.launchers.slurm.logins import Login
from app.engine.launchers.slurm.programs import printed, run
from app.errors import (
    CapabilityMissing,
    NotFound,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.store.execution_rows import now

log = structlog.get_logger(__name__)

NODE: Final = "slurm"
"""What its nodes are to the service."""
_BETWEEN: Final = "~"
"""Stands in ids of nodes between the name of the cluster and theirs."""
_EVERY: Final = timedelta(minutes=2)
"""How often a cluster is asked what it has."""
_STALE: Final = timedelta(minutes=10)
"""Of nodes about which nothing was heard for so long nothing is known."""
_MOST_NODES: Final = 5000
"""More of one cluster are not told."""
_MOST_BYTES: Final = 16 * 1024 * 1024
_MIB: Final = 2**20
_MOST_LABEL: Final = 500
"""Characters of a label: some nodes have hundreds of features."""
_TURN_SECONDS: Final = 0.2
"""Between two tries to get a turn with the scheduler."""
_MOST_TURNS: Final = 100
"""So often a turn with the scheduler is asked for, until the question is left for later."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a cluster said that it has."""

    partitions: list[Partition]
    nodes: list[ClusterNode]


class Inventory:
    """Knows what a cluster has. Threads may share it.

    Args:
        cluster: The cluster.
        fit: What is noted of it.
        pause: Waits for so many seconds.
    """

    def __init__(
        self, cluster: Cluster, fit: Fit, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._cluster = cluster
        self._name = cluster.accounts.name
        self._fit = fit
        self._timeout = cluster.options.command_timeout
        self._pause = pause

    def tend(self) -> None:
        """Ask the cluster what it has, if that was long ago and there is an account to ask with.

        Raises:
            SlipwayError: It cannot be asked now.
        """
        noted_at = self._fit.noted_at()
        if noted_at is not None and now() - _EVERY < noted_at <= now():
            return
        login = self._some_login()
        if login is not None:
            self.ask(login)

    def ask(self, login: Login) -> Found:
        """Ask the cluster what it has, and note it.

        Raises:
            UpstreamError: It cannot be asked now.
        """
        found = nodes.nodes(self._printed(login, nodes.sinfo()))
        text = self._printed(login, list(configured.SHOW_PARTITIONS))
        if len(found) > _MOST_NODES:
            log.warning("the cluster has too many nodes to tell", cluster=self._name)
        partitions = configured.partitions(text, found)
        self._fit.note(partitions, found[:_MOST_NODES])
        return Found(partitions, found)

    def all(self) -> list[Node]:
        """Return the nodes as they were last told; none where they never were."""
        noted = self._fit.nodes()
        if noted is None:
            return []
        found, noted_at = noted
        silent = noted_at < now() - _STALE
        return [self._node(each, noted_at, silent=silent) for each in found]

    def get(self, node_id: str) -> Node:
        """Return one.

        Raises:
            NotFound: There is none with this id.
        """
        found = next((node for node in self.all() if node.id == node_id), None)
        if found is None:
            raise NotFound("There is no such node.")
        return found

    def drain(self, node_id: str, reason: str) -> None:
        """Give a node no new jobs; idempotent.

        Raises:
            NotFound: There is none with this id.
            CapabilityMissing: No account is configured that may do that.
            UpstreamError: It could not be done.
        """
        node = self._find(node_id)
        self._update(nodes.drain(node.name, reason))

    def undrain(self, node_id: str) -> None:
        """Give a node jobs again; idempotent; see :meth:`drain`."""
        node = self._find(node_id)
        if node.standing is not NodeState.DRAINING and not node.reason:
            return
        self._update(nodes.undrain(node.name))

    def _find(self, node_id: str) -> ClusterNode:
        """Find a node by what was noted: no other name reaches a command line."""
        found, _ = self._fit.nodes() or ([], None)
        for each in found:
            if self._id(each) == node_id:
                return each
        raise NotFound("There is no such node.")

    def _update(self, argv: list[str]) -> None:
        admin = self._cluster.accounts.admin
        if admin is None:
            raise CapabilityMissing(
                f"The nodes of '{self._name}' cannot be drained: no admin account is configured."
            )
        login = self._cluster.logins.of(admin)
        ran = run(login, argv, nodes.ENVIRONMENT, timeout=self._timeout, most_bytes=4096)
        if ran.code is None:
            raise UpstreamTimeout("The cluster did not answer in time.", detail=ran.errors)
        if ran.code != 0:
            said = ran.errors.strip() or f"exit code {ran.code}"
            raise UpstreamRefused(f"The cluster refused it: {said}")
        self.ask(login)

    def _some_login(self) -> Login | None:
        """Log in to an account that is nobody's own, or return what somebody else's login is."""
        account = self._cluster.accounts.admin or self._cluster.accounts.common
        return self._cluster.logins.any() if account is None else self._cluster.logins.of(account)

    def _printed(self, login: Login, argv: list[str]) -> str:
        for _ in range(_MOST_TURNS):
            if self._cluster.turns.take():
                return printed(
                    login, argv, nodes.ENVIRONMENT, timeout=self._timeout, most_bytes=_MOST_BYTES
                )
            self._pause(_TURN_SECONDS)
        raise UpstreamUnreachable("The scheduler of the cluster is asked too much already.")

    def _id(self, node: ClusterNode) -> str:
        return f"{self._name}{_BETWEEN}{node.name}"

    def _node(self, node: ClusterNode, noted_at: datetime, *, silent: bool) -> Node:
        labels = {
            "partitions": ",".join(node.partitions),
            "features": ",".join(node.features),
            "gres": ",".join(node.gres),
            "processors": str(node.cpus),
            "memory": f"{node.memory_bytes // _MIB}MiB",
            "slurm_state": node.state,
            "reason": node.reason,
        }
        return Node(
            id=self._id(node),
            type=NODE,
            address=node.name,
            capabilities=(),
            labels={key: clean_text(text[:_MOST_LABEL]) for key, text in labels.items() if text},
            state=NodeState.OFFLINE if silent else node.standing,
            load=node.load,
            active_tasks=0,
            last_seen=noted_at,
        )

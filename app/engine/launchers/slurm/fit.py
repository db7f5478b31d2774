"""What steps ask for, compared with what their cluster was last known to have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from app.clients.slurm.fitting import misfits
from app.clients.slurm.nodes import ClusterNode
from app.clients.slurm.nodes import dump as dump_nodes
from app.clients.slurm.nodes import load as load_nodes
from app.clients.slurm.partitions import Partition, dump, load
from app.errors import FieldError
from app.job_resources import Asked
from app.store.clusters import Clusters
from app.store.database import Database
from app.store.execution_rows import now

_OLD: Final = timedelta(days=7)
"""What was noted before may be otherwise by now, and refuses nothing."""


class Fit:
    """Knows what a cluster has, by what its conductors note.

    Args:
        database: The store.
        orchestrator: Name of the cluster's orchestrator.
        partition: Partitions of steps that name none; None for the cluster's own default.
    """

    def __init__(self, database: Database, orchestrator: str, partition: str | None) -> None:
        self._clusters = Clusters(database)
        self._orchestrator = orchestrator
        self._partition = partition

    def note(self, partitions: Iterable[Partition], nodes: Iterable[ClusterNode] = ()) -> None:
        """Note what the cluster has, as a conductor was told.

        Raises:
            StoreUnavailable: The store cannot be used.
        """
        self._clusters.note(self._orchestrator, dump(partitions), dump_nodes(nodes))

    def noted_at(self) -> datetime | None:
        """Return when the cluster last said what it has; None for never.

        Raises:
            StoreUnavailable: The store cannot be used.
        """
        return self._clusters.noted_at(self._orchestrator)

    def nodes(self) -> tuple[list[ClusterNode], datetime] | None:
        """Return the nodes of the cluster, and when it told them; None where it never did.

        Raises:
            StoreUnavailable: The store cannot be used.
        """
        noted = self._clusters.nodes(self._orchestrator)
        return None if noted is None else (load_nodes(noted.nodes), noted.noted_at)

    def faults(self, asked: Sequence[Asked]) -> list[FieldError]:
        """Return what the cluster does not have; nothing where that is not known.

        Raises:
            StoreUnavailable: The store cannot be used.
        """
        noted = self._clusters.get(self._orchestrator)
        if noted is None or noted.noted_at < now() - _OLD:
            return []
        partitions = load(noted.partitions)
        return [
            FieldError(f"{each.path}.{misfit.resource}", misfit.message)
            for each in asked
            for misfit in misfits(each.resources, partitions, self._partition)
        ]

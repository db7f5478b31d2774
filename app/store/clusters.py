"""What clusters have: noted by conductors, which ask them, for web processes, which do not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from app.domain import JSON
from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import clusters


@dataclass(frozen=True, slots=True)
class NotedCluster:
    """What a cluster has.

    Attributes:
        partitions: Its partitions, as they were given.
        noted_at: When a conductor was last told.
    """

    partitions: JSON
    noted_at: datetime


@dataclass(frozen=True, slots=True)
class NotedNodes:
    """The nodes of a cluster.

    Attributes:
        nodes: All of them, as they were given.
        noted_at: When a conductor was last told.
    """

    nodes: JSON
    noted_at: datetime


class Clusters:
    """The clusters of all orchestrators, by the names of those.

    Args:
        database: The store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, orchestrator: str, partitions: JSON, nodes: JSON = None) -> None:
        """Note what a cluster has, in the place of what was noted before.

        Args:
            orchestrator: Name of the cluster's orchestrator.
            partitions: Its partitions.
            nodes: Its nodes.

        Raises:
            StoreUnavailable: The store cannot be used.
        """
        values = {"partitions": partitions, "nodes": nodes or [], "noted_at": now()}

        def work(connection: Connection) -> None:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            statement = dialect.insert(clusters).values(orchestrator=orchestrator, **values)
            connection.execute(
                statement.on_conflict_do_update(index_elements=["orchestrator"], set_=values)
            )

        self._database.write(work, durable=False, idempotent=True)

    def get(self, orchestrator: str) -> NotedCluster | None:
        """Return what a cluster has, None where that was never noted.

        Raises:
            StoreUnavailable: The store cannot be used.
        """
        columns = (clusters.c.partitions, clusters.c.noted_at)
        statement = select(*columns).where(clusters.c.orchestrator == orchestrator)
        with self._database.read() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else NotedCluster(row.partitions, row.noted_at)

    def nodes(self, orchestrator: str) -> NotedNodes | None:
        """Return the nodes of a cluster, None where they were never noted.

        Raises:
            StoreUnavailable: The store cannot be used.
        """
        columns = (clusters.c.nodes, clusters.c.noted_at)
        statement = select(*columns).where(clusters.c.orchestrator == orchestrator)
        with self._database.read() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else NotedNodes(row.nodes or [], row.noted_at)

    def noted_at(self, orchestrator: str) -> datetime | None:
        """Return when a conductor was last told what a cluster has; None for never.

        Raises:
            StoreUnavailable: The store cannot be used.
        """
        statement = select(clusters.c.noted_at).where(clusters.c.orchestrator == orchestrator)
        with self._database.read() as connection:
            return connection.execute(statement).scalar_one_or_none()

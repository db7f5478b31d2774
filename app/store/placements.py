"""Where executions have their folders on clusters, which their launchers must find again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from app.store.database import Database
from app.store.schema import placements

_MOST_IDS = 500


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an execution has its folder.

    Attributes:
        execution: Id of the execution.
        account: Name of the account on the cluster.
        owner: User of the gateway whose execution it is.
        root: Absolute path of the folder there that holds those of executions.
    """

    execution: str
    account: str
    owner: str
    root: str


class Placements:
    """The executions of one orchestrator.

    Args:
        database: The store.
        orchestrator: Name of the orchestrator.
    """

    def __init__(self, database: Database, orchestrator: str) -> None:
        self._database = database
        self._orchestrator = orchestrator

    def add(self, placement: Placement) -> Placement:
        """Note where an execution has its folder; what was noted first holds.

        Raises:
            StoreUnavailable: The store cannot be used.
        """
        values = {"orchestrator": self._orchestrator, **asdict(placement)}

        def work(connection: Connection) -> None:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            connection.execute(dialect.insert(placements).on_conflict_do_nothing(), values)

        self._database.write(work, idempotent=True)
        return self.of([placement.execution])[placement.execution]

    def of(self, executions: Collection[str]) -> dict[str, Placement]:
        """Return what is noted, by id of the execution.

        Raises:
            StoreUnavailable: The store cannot be used.
        """
        found: dict[str, Placement] = {}
        ids = sorted(executions)
        with self._database.read() as connection:
            for begin in range(0, len(ids), _MOST_IDS):
                rows = connection.execute(
                    select(placements).where(
                        placements.c.orchestrator == self._orchestrator,
                        placements.c.execution.in_(ids[begin : begin + _MOST_IDS]),
                    )
                )
                for row in rows:
                    found[row.execution] = Placement(
                        row.execution, row.account, row.owner, row.root
                    )
        return found

    def remove(self, execution: str) -> None:
        """Forget an execution whose folder is gone; idempotent.

        Raises:
            StoreUnavailable: The store cannot be used.
        """
        mine = (placements.c.orchestrator == self._orchestrator) & (
            placements.c.execution == execution
        )
        self._database.write(lambda c: c.execute(delete(placements).where(mine)))

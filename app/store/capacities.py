"""What tasks may take together on the machines that conductors serve."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update

from app.store.conductors import host_of, served
from app.store.database import Database
from app.store.schema import nodes


@dataclass(frozen=True, slots=True)
class Capacity:
    """What all tasks together may take on a machine.

    Attributes:
        memory_bytes: Its memory; None for any.
        host: Name of the machine.
    """

    processors: int
    memory_bytes: int | None
    host: str


class Capacities:
    """Knows what machines give.

    Args:
        database: The store.
        lease_seconds: The conductors' lease, from which it follows which of them live.
    """

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease_seconds = lease_seconds

    def note(self, node: str, processors: int, memory_bytes: int | None) -> None:
        """Note what a machine gives that a conductor has entered.

        Args:
            node: The machine, with the mark of its data folder.
            processors: What all tasks there may take together, as the next.
            memory_bytes: In bytes; None for any.
        """
        statement = (
            update(nodes)
            .where(nodes.c.name == node)
            .values(processors=processors, memory_bytes=memory_bytes)
        )
        self._database.write(lambda connection: connection.execute(statement))

    def all(self) -> list[Capacity]:
        """List what the machines give that living conductors serve; any may get any execution."""
        statement = select(nodes).where(
            nodes.c.processors.is_not(None), nodes.c.name.in_(served(self._lease_seconds))
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [Capacity(row.processors, row.memory_bytes, host_of(row.name)) for row in rows]

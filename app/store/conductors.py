"""The conductors and their signs of life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update

from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import conductors


@dataclass(frozen=True, slots=True)
class Conductor:
    """One conductor process.

    Attributes:
        node: Name of its machine.
    """

    id: str
    node: str
    pid: int
    started_at: datetime
    beat_at: datetime


class Conductors:
    """Which conductors there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, conductor_id: str, node: str, pid: int) -> None:
        """Enter a conductor that begins its work."""
        moment = now()
        values = {"node": node, "pid": pid, "started_at": moment, "beat_at": moment}
        self._database.write(
            lambda c: c.execute(insert(conductors).values(id=conductor_id, **values))
        )

    def beat(self, conductor_id: str) -> None:
        """Give a sign of life."""
        self._database.write(
            lambda c: c.execute(
                update(conductors).where(conductors.c.id == conductor_id).values(beat_at=now())
            )
        )

    def remove(self, conductor_id: str) -> None:
        """Take a conductor out that ended or died."""
        self._database.write(
            lambda c: c.execute(delete(conductors).where(conductors.c.id == conductor_id))
        )

    def all(self) -> list[Conductor]:
        """List the conductors that were not taken out."""
        with self._database.read() as connection:
            rows = connection.execute(select(conductors).order_by(conductors.c.started_at))
            return [Conductor(**row) for row in rows.mappings()]

    def alive(self, within_seconds: float) -> bool:
        """Tell whether any conductor gave a sign of life lately."""
        oldest = now() - timedelta(seconds=within_seconds)
        statement = select(conductors.c.id).where(conductors.c.beat_at >= oldest).limit(1)
        with self._database.read() as connection:
            return connection.execute(statement).first() is not None

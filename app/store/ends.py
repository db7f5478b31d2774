"""Who was told that a log has ended, so that every process knows who asks again and again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, select, text

from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import ends_told, to_ms

_NOTE = text(
    "INSERT INTO ends_told (execution, client, expires_at) VALUES (:execution, :client, :until)"
    " ON CONFLICT (execution, client) DO UPDATE SET expires_at = excluded.expires_at"
)


class EndsTold:
    """Notes of who was told lately that the log of an execution has ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prune(self) -> int:
        """Remove the notes that are too old; return how many there were."""
        return self._database.write(_forget_old, durable=False)

    def note(self, number: int, client: str, until: datetime) -> bool:
        """Note that a client is told, and forget the notes that are too old.

        Args:
            number: Number of the execution.
            client: Names the client, in at most 64 characters.
            until: When the note is to be forgotten.

        Returns:
            Whether there was such a note already.

        Raises:
            StoreUnavailable: The database cannot be used.
        """
        table = ends_told.c

        def work(connection: Connection) -> bool:
            _forget_old(connection)
            known = select(table.client).where(table.execution == number, table.client == client)
            found = connection.execute(known).first() is not None
            values = {"execution": number, "client": client, "until": to_ms(until)}
            connection.execute(_NOTE, values)
            return found

        return self._database.write(work)


def _forget_old(connection: Connection) -> int:
    return connection.execute(delete(ends_told).where(ends_told.c.expires_at < now())).rowcount

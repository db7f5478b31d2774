"""Chores that one process at a time does, over all machines."""

from __future__ import annotations

import time
from datetime import timedelta

from sqlalchemy import Connection, delete, or_, text, update

from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import chores, to_ms

_BEGIN = text(
    "INSERT INTO chores (name, holder, held_until) VALUES (:name, :holder, :until)"
    " ON CONFLICT (name) DO NOTHING"
)


class Chores:
    """Who does which chore; whoever dies with one leaves it to others after a while.

    Args:
        database: The store.
        holder: Names this process.
    """

    def __init__(self, database: Database, holder: str) -> None:
        self._database = database
        self._holder = holder
        self._sure_until: dict[str, float] = {}

    def take(self, name: str, seconds: float) -> bool:
        """Take a chore, or keep it, for a time.

        Args:
            name: The chore.
            seconds: After which it is anybody's again.

        Returns:
            False where another process has it.
        """
        moment = time.monotonic()
        if self._sure_until.get(name, 0.0) > moment:
            return True
        taken = self._take(name, seconds)
        # Half of the time is left for the work that begins now.
        self._sure_until[name] = moment + seconds / 2 if taken else 0.0
        return taken

    def _take(self, name: str, seconds: float) -> bool:

        def work(connection: Connection) -> bool:
            moment = now()
            until = moment + timedelta(seconds=seconds)
            free = or_(chores.c.holder == self._holder, chores.c.held_until < moment)
            mine = update(chores).where(chores.c.name == name, free)
            if connection.execute(mine.values(holder=self._holder, held_until=until)).rowcount:
                return True
            values = {"name": name, "holder": self._holder, "until": to_ms(until)}
            return bool(connection.execute(_BEGIN, values).rowcount)

        return self._database.write(work, durable=False, idempotent=True)

    def leave(self, name: str) -> None:
        """Leave a chore to others."""
        self._sure_until.pop(name, None)
        mine = (chores.c.name == name) & (chores.c.holder == self._holder)
        self._database.write(lambda c: c.execute(delete(chores).where(mine)), durable=False)

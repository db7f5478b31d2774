"""Turns in asking the scheduler of a cluster, over all processes of all machines."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, text, update

from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import scheduler_turns, to_ms

_BEGIN = text(
    "INSERT INTO scheduler_turns (name, next_at) VALUES (:name, :next)"
    " ON CONFLICT (name) DO NOTHING"
)
_MOST_AHEAD_SECONDS = 60.0
"""A next turn that is later by more is that of a clock that was set back since."""


class SchedulerTurns:
    """Lets one question through now and then.

    Args:
        database: The store.
        name: Of the orchestrator whose cluster is asked.
        seconds: Shortest time between two questions.
    """

    def __init__(self, database: Database, name: str, seconds: float) -> None:
        self._database = database
        self._name = name
        self._seconds = seconds

    def take(self) -> bool:
        """Return whether somebody may ask now; then the next turn is later.

        Raises:
            StoreUnavailable: The store cannot be used.
        """

        def work(connection: Connection) -> bool:
            moment = now()
            due = scheduler_turns.c.next_at
            beyond = moment + timedelta(seconds=self._seconds + _MOST_AHEAD_SECONDS)
            mine = update(scheduler_turns).where(
                scheduler_turns.c.name == self._name, (due <= moment) | (due > beyond)
            )
            following = moment + timedelta(seconds=self._seconds)
            if connection.execute(mine.values(next_at=following)).rowcount:
                return True
            values = {"name": self._name, "next": to_ms(following)}
            return bool(connection.execute(_BEGIN, values).rowcount)

        return self._database.write(work, durable=False)

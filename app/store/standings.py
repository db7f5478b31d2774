"""How all executions stand together, and the conductors that drive them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select

from app.domain import ExecutionStatus
from app.store.database import Database
from app.store.execution_rows import FINAL, now
from app.store.schema import conductors, executions


@dataclass(frozen=True, slots=True)
class Standings:
    """How all executions stand.

    Attributes:
        numbers: Executions by state.
        oldest_poll_seconds: By orchestrator, for how long nobody has looked at the execution that
            waits longest, of those that have not ended.
        conductors: Those that gave a sign of life lately.
    """

    numbers: Mapping[ExecutionStatus, int]
    oldest_poll_seconds: Mapping[str, float]
    conductors: int


class ExecutionStandings:
    """Reads how the executions stand.

    Args:
        database: The store.
        beat_seconds: Age from which a conductor's sign of life is too old.
    """

    def __init__(self, database: Database, beat_seconds: float) -> None:
        self._database = database
        self._beat_seconds = beat_seconds

    def read(self) -> Standings:
        """Read it as it is now.

        Raises:
            StoreUnavailable: The database cannot be read.
        """
        moment = now()
        numbers = select(executions.c.status, func.count()).group_by(executions.c.status)
        oldest = (
            select(executions.c.orchestrator, func.min(executions.c.as_of))
            .where(executions.c.status.not_in(FINAL))
            .group_by(executions.c.orchestrator)
        )
        alive = select(func.count()).where(
            conductors.c.beat_at >= moment - timedelta(seconds=self._beat_seconds)
        )
        with self._database.read() as connection:
            return Standings(
                {ExecutionStatus(status): n for status, n in connection.execute(numbers)},
                {
                    name: max(0.0, (moment - as_of).total_seconds())
                    for name, as_of in connection.execute(oldest)
                },
                connection.execute(alive).scalar_one(),
            )

"""What is shown of the metrics of executions of virtual users; it is kept as long as they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select

from app.domain import JSON, ExecutionSummary
from app.store.database import Database
from app.store.schema import load_metrics

_ONE: Final = select(load_metrics.c.document, load_metrics.c.at).where(
    load_metrics.c.execution == bindparam("of_execution")
)
_SERIES: Final = select(load_metrics.c.series).where(
    load_metrics.c.execution == bindparam("of_execution")
)


@dataclass(frozen=True, slots=True)
class KeptMetrics:
    """The metrics of one execution.

    Attributes:
        document: As the conductor wrote them, see :mod:`app.load.judging`.
        at: When that was.
    """

    document: JSON
    at: datetime


class LoadMetrics:
    """The metrics in the store; conductors write them, see :mod:`app.store.load_tasks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, execution: ExecutionSummary) -> KeptMetrics | None:
        """Return those of an execution; None as long as there are none."""
        with self._database.read() as connection:
            row = connection.execute(_ONE, {"of_execution": execution.number}).one_or_none()
        return None if row is None else KeptMetrics(row.document, row.at)

    def series(self, execution: ExecutionSummary) -> JSON:
        """Return their course; an empty list as long as there is none."""
        with self._database.read() as connection:
            found = connection.execute(_SERIES, {"of_execution": execution.number}).scalar()
        return found or []

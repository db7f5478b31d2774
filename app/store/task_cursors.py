"""What an orchestrator remembers of the tasks of an execution."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, select

from app.domain import JSON, DrivenExecution
from app.store.database import Database
from app.store.schema import tasks

_CURSORS = select(tasks.c.name, tasks.c.cursor).where(
    tasks.c.execution == bindparam("number"), tasks.c.cursor.is_not(None)
)


class TaskCursors:
    """Reads the cursors of tasks that were stored with observations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, execution: DrivenExecution) -> Mapping[str, JSON]:
        """Read the cursors of an execution's tasks by name; a task without one is left out.

        Raises:
            StoreUnavailable: The store cannot be read.
        """
        with self._database.read() as connection:
            rows = connection.execute(_CURSORS, {"number": execution.number})
            return {row.name: row.cursor for row in rows}

"""What an orchestrator remembers of the tasks of an execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import bindparam, select

from app.domain import JSON, DrivenExecution
from app.store.database import Database
from app.store.schema import tasks

_CURSORS = select(tasks.c.name, tasks.c.cursor, tasks.c.continued_from).where(
    tasks.c.execution == bindparam("number"), tasks.c.cursor.is_not(None)
)


ORIGIN: Final = "origin"


class TaskCursors:
    """Reads the cursors of tasks that were stored with observations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, execution: DrivenExecution) -> Mapping[str, JSON]:
        """Read the cursors of an execution's tasks by name; a task without one is left out.

        That of a task which was taken over holds as :data:`ORIGIN` from which execution.

        Raises:
            StoreUnavailable: The store cannot be read.
        """
        with self._database.read() as connection:
            rows = connection.execute(_CURSORS, {"number": execution.number})
            return {row.name: _cursor(row) for row in rows}


def _cursor(row: Any) -> JSON:
    """Return the cursor of a task; of one that was taken over it says from where."""
    if row.continued_from is None:
        return row.cursor
    return {**row.cursor, ORIGIN: row.continued_from}

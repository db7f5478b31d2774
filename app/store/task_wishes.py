"""What users want of single tasks, as the orchestrators read it that can control them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, select

from app.domain import DesiredTaskState, DrivenExecution, TaskWish
from app.store.database import Database
from app.store.schema import tasks

_WISHES = select(tasks.c.name, tasks.c.desired, tasks.c.generation).where(
    tasks.c.execution == bindparam("number"), tasks.c.desired.is_not(None)
)


class TaskWishes:
    """Reads what :meth:`app.store.steering.SteeredExecutions.desire_task` wrote down."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, execution: DrivenExecution) -> Mapping[str, TaskWish]:
        """Read the wishes by name of the task; one of which nothing was wanted is left out.

        Raises:
            StoreUnavailable: The store cannot be read.
        """
        with self._database.read() as connection:
            rows = connection.execute(_WISHES, {"number": execution.number})
            return {
                row.name: TaskWish(DesiredTaskState(row.desired), row.generation) for row in rows
            }

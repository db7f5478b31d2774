"""Attempts of tasks that are over, and after which others began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from app.domain import MOST_ATTEMPTS, Attempt, TaskStatus
from app.store.names import fitted
from app.store.schema import task_attempts, tasks

MOST_TOLD: Final = 10_000
"""Attempts of one execution that are told: those of its first tasks."""

_NAME_LENGTH: Final = 255
_COLUMN: Final = task_attempts.c
_OLD: Final = delete(task_attempts).where(
    _COLUMN.execution == bindparam("of_execution"),
    _COLUMN.task == bindparam("of_task"),
    _COLUMN.number <= bindparam("of_oldest"),
)
_OF_EXECUTION: Final = (
    select(*(_COLUMN[field.name] for field in fields(Attempt)))
    .join(tasks, (tasks.c.execution == _COLUMN.execution) & (tasks.c.name == _COLUMN.task))
    .where(_COLUMN.execution == bindparam("of_execution"))
    .order_by(tasks.c.position, _COLUMN.number)
    .limit(MOST_TOLD)
)


def keep(connection: Connection, number: int, attempts: Sequence[Attempt]) -> None:
    """Keep attempts, and of each task the last ones only.

    Args:
        connection: A transaction that holds the execution's row.
        number: Number of the execution.
        attempts: The attempts; one that is kept already is the same.
    """
    if not attempts:
        return
    rows = [
        {
            **asdict(attempt),
            "execution": number,
            "task": fitted(attempt.task, _NAME_LENGTH),
            "node": None if attempt.node is None else fitted(attempt.node, _NAME_LENGTH),
        }
        for attempt in attempts
    ]
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(task_attempts).on_conflict_do_nothing(), rows)
    old = [
        {
            "of_execution": number,
            "of_task": row["task"],
            "of_oldest": row["number"] - MOST_ATTEMPTS,
        }
        for row in rows
        if row["number"] > MOST_ATTEMPTS
    ]
    if old:
        connection.execute(_OLD, old)


def of_execution(connection: Connection, number: int) -> list[Attempt]:
    """List the attempts that are kept, by task in the order of the workflow, then by number."""
    rows = connection.execute(_OF_EXECUTION, {"of_execution": number})
    return [Attempt(**{**row, "status": TaskStatus(row["status"])}) for row in rows.mappings()]

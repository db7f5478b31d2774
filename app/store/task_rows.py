"""Rows of tasks, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from app.domain import Task, TaskStatus
from app.store.bulk import insert_rows
from app.store.names import fitted, storable
from app.store.schema import tasks

TASK_FIELDS = tuple(f.name for f in fields(Task))
NAME_LENGTH = 255
_FEW = 100


def add(connection: Connection, number: int, names: Sequence[str]) -> None:
    """Write the tasks of a new execution down, in order."""
    pending = str(TaskStatus.PENDING)
    rows = [(number, fitted(name, NAME_LENGTH), i, pending) for i, name in enumerate(names)]
    insert_rows(connection, "tasks", ("execution", "name", "position", "status"), rows)


def store(connection: Connection, number: int, seen: Sequence[Task]) -> None:
    """Store the states of tasks; those that are new stand behind the others.

    What is stored already is not written again, and all else in one statement.
    """
    states = {fitted(task.name, NAME_LENGTH): _state(task) for task in seen}
    if not states:
        return
    known = _known(connection, number, list(states))
    new = [name for name in states if name not in known]
    positions = {name: row["position"] for name, row in known.items()}
    if new:
        first = connection.execute(
            select(func.count()).select_from(tasks).where(tasks.c.execution == number)
        ).scalar_one()
        positions |= {name: first + i for i, name in enumerate(new)}
    changed = [name for name in states if name in new or not _same(known[name], states[name])]
    _upsert(
        connection,
        [
            {"execution": number, "name": name, "position": positions[name], **states[name]}
            for name in changed
        ],
    )


def _state(task: Task) -> dict[str, Any]:
    state = {name: getattr(task, name) for name in TASK_FIELDS if name != "name"}
    state["error"] = None if task.error is None else storable(task.error)
    state["node"] = None if task.node is None else fitted(task.node, NAME_LENGTH)
    return state


def _known(connection: Connection, number: int, names: list[str]) -> dict[str, Any]:
    statement = select(tasks).where(tasks.c.execution == number)
    if len(names) <= _FEW:
        statement = statement.where(tasks.c.name.in_(names))
    return {row["name"]: row for row in connection.execute(statement).mappings()}


def _same(row: Any, state: dict[str, Any]) -> bool:
    return all(row[name] == value for name, value in state.items())


def _upsert(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(tasks)
    statement = statement.on_conflict_do_update(
        index_elements=[tasks.c.execution, tasks.c.name],
        set_={name: statement.excluded[name] for name in TASK_FIELDS if name != "name"},
    )
    # What returns something, SQLAlchemy sends as one statement with many rows.
    connection.execute(statement.returning(tasks.c.position), rows)

"""Rows of tasks, many at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, Connection, String, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.domain import JSON, Attempt, Task, TaskStatus, Usage
from app.elements import MOST, STRIDE, parts_of
from app.store import task_attempts
from app.store.bulk import insert_rows
from app.store.names import fitted, storable
from app.store.schema import tasks

TASK_FIELDS = tuple(f.name for f in fields(Task))
NAME_LENGTH = 255
_FEW = 100
_NAMED = 10
_AT_ONCE = 500
_USAGE_FIELDS = tuple(f.name for f in fields(Usage))
_STATE_FIELDS = tuple(name for name in TASK_FIELDS if name not in {"name", "title", *_USAGE_FIELDS})
_TAKEN = (*TASK_FIELDS, "position", "cursor")
_TAKE_OVER = insert(tasks).from_select(
    ["execution", *_TAKEN, "generation"],
    select(
        bindparam("new", type_=BigInteger),
        *(
            func.coalesce(tasks.c.continued_from, bindparam("of_id", type_=String))
            if name == "continued_from"
            else tasks.c[name]
            for name in _TAKEN
        ),
        tasks.c.run,
    ).where(tasks.c.execution == bindparam("ended")),
)
_FRESH = Task("", TaskStatus.PENDING)
_RENEW = (
    update(tasks)
    .where(
        tasks.c.execution == bindparam("of_execution"),
        tasks.c.name.in_(bindparam("of_names", expanding=True)),
    )
    .values(
        cursor=None,
        generation=0,
        **{name: getattr(_FRESH, name) for name in (*_STATE_FIELDS, *_USAGE_FIELDS)},
    )
)
_ONE = update(tasks).where(
    tasks.c.execution == bindparam("of_execution"), tasks.c.name == bindparam("of_name")
)
"""What is set are the other parameters."""


def add(
    connection: Connection,
    number: int,
    names: Sequence[str],
    titles: Mapping[str, str] = MappingProxyType({}),
    needs: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Write the tasks of a new execution down, in order.

    Args:
        connection: A transaction that holds the execution's row.
        number: Number of the execution.
        names: Names of the tasks.
        titles: Names for people, by name, of the tasks that have another one.
        needs: Which tasks one waits for, by name, where it does.
    """
    pending = str(TaskStatus.PENDING)
    rows: list[tuple[Any, ...]] = [
        (number, fitted(name, NAME_LENGTH), i * STRIDE, pending) for i, name in enumerate(names)
    ]
    columns: tuple[str, ...] = ("execution", "name", "position", "status")
    if titles:
        shown = (titles.get(name) for name in names)
        rows = [
            (*row, title and fitted(title, NAME_LENGTH))
            for row, title in zip(rows, shown, strict=True)
        ]
        columns += ("title",)
    if needs:
        waits = (_others(needs[name]) if name in needs else None for name in names)
        rows = [(*row, other) for row, other in zip(rows, waits, strict=True)]
        columns += ("waits_for",)
    insert_rows(connection, "tasks", columns, rows)


def _others(needed: Sequence[str]) -> str:
    """Write down that a task waits for others; of very many the first are named."""
    named = list(needed[:_NAMED])
    more = f" and {len(needed) - _NAMED} more" if len(needed) > _NAMED else ""
    reason = f"the tasks that it needs: {', '.join(named)}{more}"
    waits = {"kind": "tasks", "reason": reason, "tasks": named}
    return json.dumps(waits, separators=(",", ":"))


def take_over(connection: Connection, number: int, ended: int, execution_id: str) -> None:
    """Give a new execution the tasks of an ended one, with what its orchestrator remembers.

    Args:
        connection: A transaction.
        number: Number of the new execution.
        ended: Number of the ended one.
        execution_id: Id of that.
    """
    connection.execute(_TAKE_OVER, {"new": number, "ended": ended, "of_id": execution_id})


def renew(connection: Connection, number: int, names: Sequence[str]) -> None:
    """Let tasks that were taken over be as when they were launched."""
    stored = [fitted(name, NAME_LENGTH) for name in names]
    for first in range(0, len(stored), _AT_ONCE):
        some = stored[first : first + _AT_ONCE]
        connection.execute(_RENEW, {"of_execution": number, "of_names": some})


def store(
    connection: Connection,
    number: int,
    seen: Sequence[Task],
    cursors: Mapping[str, JSON] = MappingProxyType({}),
) -> None:
    """Store the states and the cursors of tasks; those that are new stand behind the others.

    New elements stand behind their step.

    A task with a cursor has changed, so it is written without a look at what is stored. Of the
    others, what is stored already is not written again. One statement writes all of a kind.

    Args:
        connection: A transaction that holds the execution's row.
        number: Number of the execution.
        seen: The tasks, as readers see them.
        cursors: What their orchestrator remembers of some, by name.

    Raises:
        ValueError: A cursor belongs to a task that was never seen.
    """
    states = {fitted(task.name, NAME_LENGTH): _state(task) for task in seen}
    kept = {fitted(name, NAME_LENGTH): {"cursor": cursor} for name, cursor in cursors.items()}
    both = {name: state | kept[name] for name, state in states.items() if name in kept}
    alone = {name: cursor for name, cursor in kept.items() if name not in states}
    known = _set(connection, number, both)
    _store_others(
        connection,
        number,
        {name: state for name, state in states.items() if name not in kept or not known},
    )
    if not known:  # some were new, and are there now
        alone = kept
    if not _set(connection, number, alone):
        raise ValueError("a cursor of a task that was never seen")


def store_usage(connection: Connection, number: int, usage: Mapping[str, Usage]) -> None:
    """Store what some tasks take.

    Args:
        connection: A transaction that holds the execution's row.
        number: Number of the execution.
        usage: What they take, by name.
    """
    rows = {
        fitted(name, NAME_LENGTH): {field: getattr(taken, field) for field in _USAGE_FIELDS}
        for name, taken in usage.items()
    }
    _set(connection, number, rows)


def _set(connection: Connection, number: int, rows: Mapping[str, dict[str, Any]]) -> bool:
    """Set the same columns of some tasks; False when one of them is not there."""
    if not rows:
        return True
    values = [{"of_execution": number, "of_name": name, **row} for name, row in rows.items()]
    return connection.execute(_ONE, values).rowcount == len(rows)


def _store_others(
    connection: Connection, number: int, states: Mapping[str, dict[str, Any]]
) -> None:
    if not states:
        return
    known = _known(connection, number, list(states))
    new = [name for name in states if name not in known]
    positions = {name: row["position"] for name, row in known.items()}
    if new:
        positions |= _new_positions(connection, number, new)
    changed = [name for name in states if name in new or not _same(known[name], states[name])]
    _keep_attempts(connection, number, [known[name] for name in changed if name in known], states)
    _upsert(
        connection,
        [
            {"execution": number, "name": name, "position": positions[name], **states[name]}
            for name in changed
        ],
    )


def _new_positions(connection: Connection, number: int, new: Sequence[str]) -> dict[str, int]:
    """Place elements behind their step, and all others behind what is there."""
    parts = {name: parts for name in new if (parts := parts_of(name)) is not None}
    steps = _known(connection, number, list({step for step, _ in parts.values()})) if parts else {}
    found = {
        name: steps[step]["position"] + 1 + index
        for name, (step, index) in parts.items()
        if step in steps and index < MOST
    }
    if others := [name for name in new if name not in found]:
        last = select(func.max(tasks.c.position)).where(tasks.c.execution == number)
        before = connection.execute(last).scalar_one()
        first = 0 if before is None else (before // STRIDE + 1) * STRIDE
        found |= {name: first + i * STRIDE for i, name in enumerate(others)}
    return found


def _keep_attempts(
    connection: Connection,
    number: int,
    rows: Sequence[Any],
    states: Mapping[str, Mapping[str, Any]],
) -> None:
    """Keep the attempts after which others began, of tasks whose orchestrator tells no more."""
    left = []
    for row in rows:
        if 0 < row["attempts"] < states[row["name"]]["attempts"]:
            task = Task(**{name: row[name] for name in TASK_FIELDS})
            left.append(Attempt.last_of(replace(task, status=TaskStatus(row["status"]))))
    task_attempts.keep(connection, number, [attempt for attempt in left if attempt is not None])


def _state(task: Task) -> dict[str, Any]:
    state = {name: getattr(task, name) for name in _STATE_FIELDS}
    state["error"] = None if task.error is None else storable(task.error)
    state["node"] = None if task.node is None else fitted(task.node, NAME_LENGTH)
    return state


def _known(connection: Connection, number: int, names: list[str]) -> dict[str, Any]:
    columns = (tasks.c[name] for name in ("position", *TASK_FIELDS))
    statement = select(*columns).where(tasks.c.execution == number)
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
        set_={name: statement.excluded[name] for name in _STATE_FIELDS},
    )
    # What returns something, SQLAlchemy sends as one statement with many rows.
    connection.execute(statement.returning(tasks.c.position), rows)

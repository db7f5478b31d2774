"""What lists say of executions beside their states: what they do by now, or why they failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Text, func, select, text, type_coerce

from app.domain import (
    BEGUN,
    LAST_LINES,
    Brief,
    ExecutionStatus,
    ExecutionSummary,
    TaskStatus,
)
from app.store.schema import executions, tasks

MOST_TASKS: Final = 3
"""Tasks that run of which the names are told."""
LONGEST: Final = 300
"""Characters of a reason."""
LOOKED_THROUGH: Final = 200
"""Tasks of an execution among which is looked for one that says what it waits for."""

# As `schema` has it, since SQLite takes an index of some rows only by the same words.
_TOLD: Final = text("tasks.status IN ('RUNNING', 'PAUSED', 'FAILED')")
_WAITS_FOR_TASKS: Final = '{"kind":"tasks"%'


def briefs_of(connection: Connection, some: Collection[ExecutionSummary]) -> dict[str, Brief]:
    """Read what is said of some executions, in two statements at most.

    Returns:
        By id; those of which nothing is to be said are not in it.
    """
    going_on = {each.number: each for each in some if not each.status.final}
    failed = {each.number: each for each in some if each.status is ExecutionStatus.FAILED}
    told = _told_tasks(connection, [*going_on, *failed])
    found = {each.id: _failure(each, told[each.number]) for each in failed.values()}
    quiet = []
    for number, each in going_on.items():
        active = [row for row in told[number] if row.status in BEGUN]
        if active:
            found[each.id] = _activity(active)
        else:
            quiet.append(number)
    for number, reason in reasons_of(connection, quiet).items():
        found[going_on[number].id] = Brief(waits_for=_line(reason))
    return found


def reasons_of(connection: Connection, numbers: Sequence[int]) -> Mapping[int, str]:
    """Read what the first task that waits for no other one waits for, in words.

    Args:
        connection: The store.
        numbers: Of executions.

    Returns:
        By number; those of which no task says so are not in it.
    """
    if not numbers:
        return {}
    some = (
        select(tasks.c.waits_for)
        .where(tasks.c.execution == executions.c.number)
        .order_by(tasks.c.name)
        .limit(LOOKED_THROUGH)
        .correlate(executions)
        .subquery()
    )
    waits_for = type_coerce(some.c.waits_for, Text)
    first = (
        select(some.c.waits_for)
        .where(waits_for.is_not(None), waits_for.not_like(_WAITS_FOR_TASKS))
        .limit(1)
        .scalar_subquery()
    )
    statement = select(executions.c.number, first).where(executions.c.number.in_(numbers))
    return {
        number: str(waits["reason"])
        for number, waits in connection.execute(statement)
        if isinstance(waits, dict) and waits.get("reason")
    }


def _told_tasks(connection: Connection, numbers: Sequence[int]) -> Mapping[int, Sequence[Any]]:
    """Read the first tasks of each status that is told, in the order of the workflow."""
    found: dict[int, list[Any]] = defaultdict(list)
    if not numbers:
        return found
    kinds = tasks.c.execution, tasks.c.status
    place = func.row_number().over(partition_by=kinds, order_by=tasks.c.position)
    many = func.count().over(partition_by=kinds)
    first = (
        select(tasks.c.execution, tasks.c.name, place.label("place"), many.label("many"))
        .where(tasks.c.execution.in_(numbers), _TOLD)
        .subquery()
    )
    statement = (
        select(
            tasks.c.execution, tasks.c.name, tasks.c.title, tasks.c.status, tasks.c.exit_code,
            tasks.c.error, first.c.many,
        )
        .join(first, (first.c.execution == tasks.c.execution) & (first.c.name == tasks.c.name))
        .where(first.c.place <= MOST_TASKS)
        .order_by(tasks.c.execution, tasks.c.position)
    )  # fmt: skip
    for row in connection.execute(statement):
        found[row.execution].append(row)
    return found


def _activity(rows: Sequence[Any]) -> Brief:
    many = {row.status: row.many for row in rows}
    names = tuple(row.title or row.name for row in rows)
    return Brief(names[:MOST_TASKS], sum(many.values()))


def _failure(execution: ExecutionSummary, rows: Sequence[Any]) -> Brief:
    failed = [row for row in rows if row.status == TaskStatus.FAILED]
    if not failed:
        return Brief(reason=_line(execution.error))
    said = execution.error or ""
    task = next((row for row in failed if f"'{row.name}'" in said), failed[0])
    return Brief(
        failed_task=task.title or task.name,
        exit_code=task.exit_code,
        reason=_last_words(task.error) or _line(execution.error),
    )


def _last_words(error: str | None) -> str | None:
    """Return the line that a task said last before it failed, or else why it failed."""
    reason, _, lines = (error or "").partition(LAST_LINES)
    spoken = [line for line in lines.splitlines() if line.strip()]
    return _line(spoken[-1] if spoken else reason)


def _line(words: str | None) -> str | None:
    """Return the first line of a text, as long as a list has room for."""
    lines = (words or "").strip().splitlines()
    if not lines:
        return None
    line = lines[0].strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"

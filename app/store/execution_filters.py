"""What lists of executions let through, as conditions of a statement."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, and_, select, text, true, union

from app.domain import OPEN_STATUSES, ExecutionFilter
from app.execution_names import NAME_START
from app.store.schema import execution_labels, executions

_OPEN: Final = sorted(OPEN_STATUSES)


def matching(wanted: ExecutionFilter, dialect: str) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter, each for a range of an index."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.states is not None:
        conditions.append(executions.c.status.in_(sorted(wanted.states)))
    owners = executions.c.owner.in_(sorted(wanted.owners or ()))
    if wanted.owners is not None:
        conditions.append(owners)
    for name in ("continues", "workflow_id", "orchestrator", "name"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(executions.c[name] == value)
    mine = true() if wanted.owners is None else owners
    if wanted.created_since is not None:
        conditions.append(_any_of(mine & (executions.c.created_at >= wanted.created_since)))
    if wanted.workflow is not None:
        columns = executions.c.workflow_id, executions.c.workflow_name
        conditions.append(_any_of(*(column == wanted.workflow for column in columns)))
    if wanted.prefix is not None:
        conditions.append(_any_of(*_beginning(wanted.prefix, dialect)))
    if wanted.called is not None:
        conditions.append(_any_of(*_called(wanted.called, dialect)))
    if wanted.active_since is not None:
        conditions.append(_any_of(*(mine & each for each in _active(wanted.active_since))))
    conditions += [_labelled(key, value, wanted.owners) for key, value in wanted.labels]
    return conditions


def _any_of(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that one of some holds, each looked up in an index of its own.

    For a single one, too: to have the order of a list for nothing, SQLite would read all rows.
    """
    number = select(executions.c.number)
    return executions.c.number.in_(union(*(number.where(each) for each in conditions)))


def _beginning(prefix: str, dialect: str) -> Iterator[ColumnElement[bool]]:
    """Yield what is said of the ids and names that begin with some ASCII characters."""
    behind = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    columns = executions.c
    from_, before = (">=", "<") if dialect == "sqlite" else ("~>=~", "~<~")

    def begins(column: Column[Any]) -> ColumnElement[bool]:
        return and_(column.bool_op(from_)(prefix), column.bool_op(before)(behind))

    yield begins(columns.id)
    yield begins(columns.upstream_id) & text("upstream_id LIKE 'exec-%'")
    yield and_(columns.awf_name >= prefix, columns.awf_name < behind)


def _called(text_: str, dialect: str) -> Iterator[ColumnElement[bool]]:
    """Yield what is said of what is called so, or has an id or name that begins so."""
    yield executions.c.name == text_
    if NAME_START.fullmatch(text_):
        yield from _beginning(text_, dialect)


def _active(since: datetime) -> Iterator[ColumnElement[bool]]:
    """Yield what is said of executions that have not ended, or did so at a moment or later."""
    columns = executions.c
    yield columns.status.in_(_OPEN)
    yield columns.finished_at >= since
    # Of some nobody says when they ended; that was after they were launched.
    yield columns.created_at >= since


def _labelled(key: str, value: str | None, owners: frozenset[str] | None) -> ColumnElement[bool]:
    table = execution_labels.c
    found = select(table.execution).where(table.key == key)
    if value is not None:
        found = found.where(table.value == value)
    if owners is not None:
        found = found.where(table.owner.in_(sorted(owners)))
    return executions.c.number.in_(found)

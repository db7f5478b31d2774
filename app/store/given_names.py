"""Which names of executions are given already, to what, and which one is next."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, String, bindparam, case, cast, func, literal, select

from app.execution_names import stem_of
from app.store.schema import executions, spent_names

_STEM = bindparam("of_stem", type_=String)
_BEHIND = bindparam("of_behind", type_=String)
_ID_NAMED = select(executions.c.id).where(executions.c.awf_name == bindparam("of_name"))


def _number_given(column: Column[Any]) -> Any:
    """Count the names that begin with the stem; the range is one of the index."""
    return select(func.count()).where(column >= _STEM, column < _BEHIND).scalar_subquery()


_GIVEN = select(
    (_number_given(executions.c.awf_name) + _number_given(spent_names.c.name)).label("number")
).subquery()

NEXT_NAME = select(
    case(
        (_GIVEN.c.number == 0, _STEM),
        else_=_STEM + literal("-") + cast(_GIVEN.c.number + 1, String),
    )
).scalar_subquery()
"""The next name of a stem: part of the statement that gives it, so that this takes none of its own.

No name is ever taken away, so their number tells the next one. Two transactions of PostgreSQL may
come to the same; the unique index keeps the second from it.
"""


def name_parameters(workflow_id: str, started_at: datetime) -> dict[str, str]:
    """Return the parameters of :data:`NEXT_NAME`."""
    stem = stem_of(workflow_id, started_at)
    # What follows a stem in a name is "-", and "." comes directly behind that.
    return {"of_stem": stem, "of_behind": f"{stem}."}


def id_named(connection: Connection, name: str) -> str | None:
    """Return the id of the execution with a name; None if there is none. It never changes."""
    found: str | None = connection.execute(_ID_NAMED, {"of_name": name}).scalar()
    return found

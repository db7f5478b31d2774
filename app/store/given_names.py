"""Which names of executions are given already, to what, and which one is next."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    String,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    select,
)

from app.execution_names import stem_of
from app.store.locks import Lock, try_lock
from app.store.schema import executions, spent_names

_STEM = bindparam("of_stem", type_=String)
_BEHIND = bindparam("of_behind", type_=String)
_ID_NAMED = select(executions.c.id).where(executions.c.awf_name == bindparam("of_name"))
_HIGHEST = 2**31 - 1
_NAMES = executions.c.awf_name, spent_names.c.name


def _number_given(column: Column[Any]) -> Any:
    """Count the names that begin with the stem; the range is one of the index."""
    return select(func.count()).where(column >= _STEM, column < _BEHIND).scalar_subquery()


def _numbered(number: ColumnElement[int]) -> ColumnElement[str]:
    return case((number == 1, _STEM), else_=_STEM + literal("-") + cast(number, String))


_GIVEN = _number_given(_NAMES[0]) + _number_given(_NAMES[1])
_NEXT = select((_GIVEN + 1).label("number")).subquery()

NEXT_NAME = select(_numbered(_NEXT.c.number)).scalar_subquery()
"""The next name of a stem, for a transaction beside which no other one writes.

It is part of the statement that gives the name, so that it takes none of its own. No name is ever
taken away, so their number tells the next one.
"""

# PostgreSQL makes the numbers of a series in a list of columns one by one, as they are asked for.
_SERIES = select(func.generate_series(_GIVEN + 1, _HIGHEST).label("number")).subquery()
_SERIES_NAMES = select(_numbered(_SERIES.c.number).label("name")).subquery()
# For EXISTS the planner may read the whole table once, to be quick with a long series.
_IS_GIVEN = [
    select(column).where(column == _SERIES_NAMES.c.name).scalar_subquery().is_not(None)
    for column in _NAMES
]

NEXT_FREE_NAME = (
    select(_SERIES_NAMES.c.name)
    .where(
        # Only what is not given is locked; AND would leave the order to the planner.
        case(
            *((given, false()) for given in _IS_GIVEN),
            else_=try_lock(Lock.NAME, _SERIES_NAMES.c.name),
        )
    )
    # As a parameter, which any number could be, it would have the statement planned anew each time.
    .limit(literal_column("1"))
    .scalar_subquery()
)
"""The next name that no other transaction is about to give, for PostgreSQL.

A transaction locks the name that it gives until its end. Others do not wait for that: they take the
next one. Without the lock they would, since a unique index makes them wait for each other's ends.
One that was rolled back leaves a gap, and so more than their number is given.
"""


def name_parameters(workflow_id: str, started_at: datetime) -> dict[str, str]:
    """Return the parameters of :data:`NEXT_NAME` and :data:`NEXT_FREE_NAME`."""
    stem = stem_of(workflow_id, started_at)
    # What follows a stem in a name is "-", and "." comes directly behind that.
    return {"of_stem": stem, "of_behind": f"{stem}."}


def id_named(connection: Connection, name: str) -> str | None:
    """Return the id of the execution with a name; None if there is none. It never changes."""
    found: str | None = connection.execute(_ID_NAMED, {"of_name": name}).scalar()
    return found

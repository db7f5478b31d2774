"""Counters of changes: each change takes the next number, so that others see that there was one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sqlalchemy import Connection, bindparam, select, update

from app.store.database import Database
from app.store.schema import counters

_COUNTER = counters.c.name == bindparam("counter")
_LAST = select(counters.c.value).where(_COUNTER)
_NEXT = (
    update(counters).where(_COUNTER).values(value=counters.c.value + 1).returning(counters.c.value)
)


def last_number(database: Database, counter: str) -> int:
    """Return the last number that a counter gave out; 0 before the first."""
    with database.read() as connection:
        number: int = connection.execute(_LAST, {"counter": counter}).scalar_one()
    return number


def next_number(connection: Connection, counter: str) -> int:
    """Return the next number of a counter; whoever asks meanwhile waits for this transaction."""
    number: int = connection.execute(_NEXT, {"counter": counter}).scalar_one()
    return number


def next_numbers(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Return the next number of each of some counters, on SQLite.

    It is past SQLAlchemy, which takes several times as long for the one statement as SQLite: each
    change of an execution has one, under SQLite's only lock.
    """
    rows = connection.exec_driver_sql(_next_of(len(names)), tuple(names))
    return {row.name: row.value for row in rows}


@cache
def _next_of(number: int) -> str:
    marks = ", ".join("?" * number)
    return (
        f"UPDATE {counters.name} SET value = value + 1 WHERE name IN ({marks})"  # noqa: S608
        " RETURNING name, value"
    )

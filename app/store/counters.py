"""Counters of changes: each change takes the next number, so that others see that there was one."""

from __future__ import annotations

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

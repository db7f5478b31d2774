"""How large the logs of a user are."""

from __future__ import annotations

from sqlalchemy import func, select

from app.store.database import Database
from app.store.journal import SIZES
from app.store.schema import executions


def log_bytes_of(database: Database, owner: str) -> int:
    """Return the bytes of the logs of all executions of a user, as text.

    Raises:
        StoreUnavailable: The database cannot be used.
    """
    sums = (func.coalesce(func.sum(executions.c[name]), 0) for name in SIZES)
    with database.read() as connection:
        row = connection.execute(select(*sums).where(executions.c.owner == owner)).one()
    return sum(map(int, row))

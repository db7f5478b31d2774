"""Locks of transactions that look at what there is before they add to it."""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import BigInteger, Boolean, ColumnElement, Connection, func, literal, text


class Lock(IntEnum):
    """What one transaction at a time does; the numbers are any that differ."""

    MIGRATION = 0x51495057
    LAUNCH = 0x4C41554E
    UPLOAD = 0x55504C44
    SSH_KEY = 0x53534B59
    NAME = 0x4E414D45
    RESERVE = 0x52455345
    OPERATION = 0x4F504552


_OF_ALL = text("SELECT pg_advisory_xact_lock(:lock)")
_OF_ONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:owner, :lock))")


def take_lock(connection: Connection, lock: Lock, owner: str | None = None) -> None:
    """Wait for the others that have the same lock to end, so that each sees what they added.

    SQLite lets one transaction write at a time anyway.

    Args:
        connection: A transaction; it has the lock until its end.
        lock: What it does.
        owner: Whose, or of what; each has a lock of its own. None for one lock of all.
    """
    if connection.dialect.name != "postgresql":
        return
    if owner is None:
        connection.execute(_OF_ALL, {"lock": int(lock)})
    else:
        connection.execute(_OF_ONE, {"lock": int(lock), "owner": owner})


def try_lock(lock: Lock, of: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the expression that takes a lock where nobody else has it, and is whether it did.

    For statements of PostgreSQL only; the transaction has the lock until its end.

    Args:
        lock: What the transaction does.
        of: Each value has a lock of its own.
    """
    key = func.hashtextextended(of, literal(int(lock), BigInteger))
    return func.pg_try_advisory_xact_lock(key, type_=Boolean)

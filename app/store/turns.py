"""Turns of transactions that look at what there is before they add to it."""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import Connection, text


class Turn(IntEnum):
    """What one transaction at a time does; the numbers are any that differ."""

    MIGRATION = 0x51495057
    LAUNCH = 0x4C41554E
    UPLOAD = 0x55504C44
    SSH_KEY = 0x53534B59


_OF_ALL = text("SELECT pg_advisory_xact_lock(:turn)")
_OF_ONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:owner, :turn))")


def take_turn(connection: Connection, turn: Turn, owner: str | None = None) -> None:
    """Wait for the others that have the same turn to end, so that each counts what they added.

    SQLite lets one transaction write at a time anyway.

    Args:
        connection: A transaction; the turn ends with it.
        turn: What it does.
        owner: Whose; each has turns of their own. None for one turn of all.
    """
    if connection.dialect.name == "postgresql":
        if owner is None:
            connection.execute(_OF_ALL, {"turn": int(turn)})
        else:
            connection.execute(_OF_ONE, {"turn": int(turn), "owner": owner})

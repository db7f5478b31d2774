"""Whose definitions may be changed: those of users belong to whoever gave their first version."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, Table, select

from app.errors import NotOwner

MayEdit = Callable[[str], bool]
"""Whether the caller may replace and remove what an owner has; empty for operators' files."""


def editable_owner(
    table: Table, connection: Connection, workflow_id: str, may_edit: MayEdit
) -> str | None:
    """Return who owns a definition that is offered; None if there is none.

    Args:
        table: What holds the definitions, by ``workflow_id`` and with their ``owner``.
        connection: A connection.
        workflow_id: The id.
        may_edit: Whose it may be.

    Raises:
        NotOwner: It is not the caller's to change.
    """
    mine = select(table.c.owner).where(table.c.workflow_id == workflow_id)
    owner: str | None = connection.execute(mine).scalar_one_or_none()
    if owner is not None and not may_edit(owner):
        raise NotOwner(workflow_id, owner)
    return owner

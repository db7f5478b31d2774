"""The ids of workflows that users define: one that is given is nobody else's, whatever runs it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BindParameter, Connection, bindparam, select, union_all

from app.errors import OfferedElsewhere
from app.store.schema import load_definitions, standing_workflows, uploaded_definitions

_ID: Final[BindParameter[str]] = bindparam("of_workflow")
_OF_THE_ENGINE: Final = union_all(
    select(uploaded_definitions.c.owner).where(uploaded_definitions.c.workflow_id == _ID),
    select(standing_workflows.c.owner).where(
        standing_workflows.c.workflow_id == _ID, standing_workflows.c.deleted_at.is_(None)
    ),
)
_OF_VIRTUAL_USERS: Final = select(load_definitions.c.owner).where(
    load_definitions.c.workflow_id == _ID
)


def require_none_of_the_engine(connection: Connection, workflow_id: str) -> None:
    """Make sure that neither an uploaded definition nor a workflow that stands has an id.

    Args:
        connection: A transaction that has ``Lock.UPLOAD``.
        workflow_id: The id.

    Raises:
        OfferedElsewhere: One does.
    """
    if connection.execute(_OF_THE_ENGINE, {"of_workflow": workflow_id}).first() is not None:
        raise OfferedElsewhere(workflow_id)


def require_none_of_virtual_users(connection: Connection, workflow_id: str) -> None:
    """Make sure that no definition of virtual users has an id.

    Args:
        connection: A transaction that has ``Lock.UPLOAD``.
        workflow_id: The id.

    Raises:
        OfferedElsewhere: One does.
    """
    if connection.execute(_OF_VIRTUAL_USERS, {"of_workflow": workflow_id}).first() is not None:
        raise OfferedElsewhere(workflow_id)

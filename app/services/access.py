"""Who may do what."""

from __future__ import annotations

from app.domain import Execution, Identity, Role
from app.errors import NotAllowed, NotFound


def require_role(identity: Identity, role: Role) -> None:
    """Make sure that somebody holds a role.

    Raises:
        NotAllowed: He does not.
    """
    if not identity.has(role):
        raise NotAllowed(f"This needs the role '{role}'.")


def sees_everything(identity: Identity) -> bool:
    """Tell whether somebody sees the executions of all users."""
    return identity.has(Role.OPERATOR)


def require_visible(execution: Execution, identity: Identity) -> None:
    """Make sure that somebody may know of an execution.

    Raises:
        NotFound: He may not, so to him there is none.
    """
    if execution.owner != identity.username and not sees_everything(identity):
        raise NotFound("There is no such execution.")

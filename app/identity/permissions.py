"""What each role may do: the one place that says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from app.domain import Identity, Permission, Role
from app.errors import NotAllowed, ScopeMissing

_USER: Final = frozenset(
    {
        Permission.WORKFLOWS_READ,
        Permission.EXECUTIONS_RUN,
        Permission.EXECUTIONS_READ,
        Permission.EXECUTIONS_CANCEL,
        Permission.EXECUTIONS_STEER,
        Permission.EXECUTIONS_PURGE,
        Permission.KEYS_READ,
        Permission.KEYS_WRITE,
        Permission.IDENTITY_READ,
        Permission.PASSWORD_WRITE,
        Permission.TOKENS_WRITE,
    }
)

PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.USER: _USER,
    Role.DEVELOPER: _USER
    | {
        Permission.WORKFLOWS_WRITE,
        Permission.WORKFLOWS_FAULTS,
        Permission.TASKS_STEER,
        Permission.EXECUTIONS_SHARED,
    },
    Role.OPERATOR: _USER
    | {
        Permission.WORKFLOWS_ALL,
        Permission.WORKFLOWS_FAULTS,
        Permission.TASKS_STEER,
        Permission.EXECUTIONS_ALL,
        Permission.EXECUTIONS_ABANDON,
        Permission.NODES_READ,
        Permission.NODES_WRITE,
        Permission.SYSTEM_READ,
    },
    Role.ADMIN: frozenset(Permission),
    Role.SLAVE: frozenset({Permission.NODES_JOIN}),
}
"""The permissions that each role gives."""

MEANINGS: Final[Mapping[Permission, str]] = {
    Permission.WORKFLOWS_READ: "List and describe workflows.",
    Permission.WORKFLOWS_WRITE: "Upload, replace and remove definitions, which run commands.",
    Permission.WORKFLOWS_ALL: "Replace and remove also the definitions of others, and those that "
    "operators put into the folder of workflows; it takes `workflows:write`, too.",
    Permission.WORKFLOWS_FAULTS: "See what is wrong with definitions.",
    Permission.EXECUTIONS_RUN: "Launch workflows.",
    Permission.EXECUTIONS_READ: "Read executions, their tasks, outputs and logs.",
    Permission.EXECUTIONS_CANCEL: "Cancel executions.",
    Permission.EXECUTIONS_STEER: "Pause, resume and retry executions.",
    Permission.EXECUTIONS_PURGE: "Remove executions that have ended, for good.",
    Permission.TASKS_STEER: "Start, stop and restart single tasks.",
    Permission.EXECUTIONS_ABANDON: "End an execution by decree that nothing else ends.",
    Permission.EXECUTIONS_SHARED: "See the executions of others of a workflow whose orchestrator "
    "says that the caller may use it (Alien4Cloud).",
    Permission.EXECUTIONS_ALL: "See the executions of all users.",
    Permission.KEYS_READ: "List one's own SSH keys, API keys and sessions.",
    Permission.KEYS_WRITE: "Make and revoke SSH keys and API keys of one's own, and end sessions.",
    Permission.NODES_READ: "See the machines that work for the service.",
    Permission.NODES_WRITE: "Take machines out of work, and let them work again.",
    Permission.NODES_JOIN: "Join as a machine that works for the service.",
    Permission.SYSTEM_READ: "See how the service is, and how it was within the last hour.",
    Permission.AUDIT_READ: "Read who did what.",
    Permission.USERS_MANAGE: "Add, change and remove users.",
    Permission.IDENTITY_READ: "Read who one is to the service, and what one may do.",
    Permission.PASSWORD_WRITE: "Change one's own password.",
    Permission.TOKENS_WRITE: "Get a token of the service that stands for one's own credential.",
}


def is_allowed(identity: Identity, permission: Permission) -> bool:
    """Return whether somebody has a permission, by their roles and within their scopes.

    Somebody without any role is a user: they have signed in.
    """
    if identity.scopes is not None and permission not in identity.scopes:
        return False
    return any(permission in PERMISSIONS[role] for role in identity.roles or (Role.USER,))


def require(identity: Identity, permission: Permission) -> None:
    """Make sure that somebody has a permission.

    Raises:
        ScopeMissing: Their roles give it, and their credential does not let it through.
        NotAllowed: They do not have it.
    """
    if is_allowed(identity, permission):
        return
    if is_allowed(Identity(identity.username, identity.roles), permission):
        text = f"The credential is restricted, and does not allow '{permission}'."
        raise ScopeMissing(text, str(permission))
    raise NotAllowed(f"This needs the role '{roles_with(permission)[0]}'.")


def is_within(role: Role, roles: Collection[Role]) -> bool:
    """Return whether some roles give all that another one gives."""
    return PERMISSIONS[role] <= frozenset().union(*(PERMISSIONS[each] for each in roles))


def roles_with(permission: Permission) -> tuple[Role, ...]:
    """Return the roles that give a permission, the least one first."""
    return tuple(role for role, given in PERMISSIONS.items() if permission in given)

"""Scopes: the words by which a credential is restricted to a part of what its owner may do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from app.domain import Identity, Permission
from app.identity.permissions import is_allowed

# Whose executions somebody sees follows from their roles, for every scope that is about them.
_SIGHT: Final = frozenset({Permission.EXECUTIONS_SHARED, Permission.EXECUTIONS_ALL})
# A token can do no more than the credential that it is asked for with, and whoever has one may know
# what it is good for.
_ALWAYS: Final = frozenset({Permission.TOKENS_WRITE, Permission.IDENTITY_READ})

_ADMIN: Final = "admin"

_OWN: Final[Mapping[str, frozenset[Permission]]] = {
    "workflows:read": frozenset({Permission.WORKFLOWS_READ, Permission.WORKFLOWS_FAULTS}),
    "workflows:write": frozenset({Permission.WORKFLOWS_WRITE, Permission.WORKFLOWS_ALL}),
    "executions:run": frozenset({Permission.EXECUTIONS_RUN}),
    "executions:read": _SIGHT | {Permission.EXECUTIONS_READ},
    "executions:cancel": _SIGHT | {Permission.EXECUTIONS_CANCEL},
    "executions:steer": _SIGHT | {Permission.EXECUTIONS_STEER, Permission.TASKS_STEER},
    "executions:purge": _SIGHT | {Permission.EXECUTIONS_PURGE},
    "keys:read": frozenset({Permission.KEYS_READ}),
    "keys:write": frozenset({Permission.KEYS_WRITE}),
    "nodes:read": frozenset({Permission.NODES_READ}),
    "nodes:write": frozenset({Permission.NODES_WRITE}),
    "nodes:join": frozenset({Permission.NODES_JOIN}),
    "system:read": frozenset({Permission.SYSTEM_READ}),
    "audit:read": frozenset({Permission.AUDIT_READ}),
    _ADMIN: frozenset(Permission),
}
"""What each scope is for."""

SCOPES: Final[Mapping[str, frozenset[Permission]]] = {
    scope: own | _ALWAYS for scope, own in _OWN.items()
}
"""The permissions that each scope lets through, as far as the roles give them."""


def permissions_of(scopes: Iterable[str]) -> frozenset[Permission]:
    """Return the permissions that some scopes let through.

    Args:
        scopes: Words of :data:`SCOPES`. Others let nothing through: issuers of tokens have scopes
            for others than this service, too.
    """
    return frozenset().union(*(SCOPES.get(scope, frozenset()) for scope in scopes))


def unknown_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the words that are no scopes, in their order."""
    return tuple(scope for scope in scopes if scope not in SCOPES)


def scopes_for(permission: Permission) -> tuple[str, ...]:
    """Return the scopes that let a permission through, the narrowest first."""
    fitting = (scope for scope, through in SCOPES.items() if permission in through)
    return tuple(sorted(fitting, key=lambda scope: len(SCOPES[scope])))


def exceeding(identity: Identity, scopes: Collection[str]) -> tuple[str, ...]:
    """Return the scopes that would let through what somebody may not do themselves.

    A credential that somebody makes for another use must not be able to do more than the one with
    which they ask for it. Of a wide scope that holds more than their roles give, only what the
    credential itself lets through counts.
    """
    if identity.scopes is None:
        return ()
    held = identity.scopes
    return tuple(
        scope
        for scope in scopes
        if any(
            permission not in held and is_allowed(Identity("", identity.roles), permission)
            for permission in SCOPES.get(scope, frozenset())
        )
    )


def scopes_within(identity: Identity) -> tuple[str, ...]:
    """Return the scopes that say what somebody may do with the credential that they use.

    All that a restricted credential lets through is within them. For one that is not restricted
    they are those of which the roles give something.
    """
    if identity.scopes is not None:
        return tuple(scope for scope, through in SCOPES.items() if through <= identity.scopes)
    return tuple(
        scope
        for scope, own in _OWN.items()
        if (scope != _ADMIN or is_allowed(identity, Permission.USERS_MANAGE))
        and any(is_allowed(identity, permission) for permission in own - _SIGHT)
    )

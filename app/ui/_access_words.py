"""Roles, scopes and ways to sign in, in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from app.domain import Identity, Permission, Role
from app.identity.permissions import MEANINGS, is_allowed
from app.identity.scopes import SCOPES

WAYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "basic": "a password",
        "api_key": "an API key",
        "oidc": "your organisation",
        "jwt": "a token of an issuer",
        "introspection": "a token of an issuer",
        "own_token": "a token of this service",
        "certificate": "a certificate",
        "none": "nothing: everybody is let in here",
    }
)
"""Ways to sign in, as 'signed in with'."""

ROLES: Final[Mapping[Role, str]] = MappingProxyType(
    {
        Role.USER: "launches workflows, watches them, and has keys",
        Role.DEVELOPER: "launches workflows, uploads definitions, which run commands, steers steps",
        Role.OPERATOR: "launches workflows, sees everybody's executions, and runs the machines",
        Role.ADMIN: "may do everything, also manage users and read the audit",
        Role.SLAVE: "joins as a machine that runs virtual users",
    }
)


def way(authenticator: str) -> str:
    """Return how somebody has signed in."""
    return WAYS.get(authenticator, authenticator)


def roles_of(identity: Identity) -> tuple[Role, ...]:
    """Return the roles of somebody; who has signed in is a user at least."""
    held = identity.roles or frozenset({Role.USER})
    return tuple(role for role in Role if role in held)


def permitted(identity: Identity) -> tuple[str, ...]:
    """Return what somebody may do, as sentences."""
    return tuple(MEANINGS[each] for each in Permission if is_allowed(identity, each))


def scope_words(scope: str) -> str:
    """Return what a scope lets through."""
    if scope in {str(each) for each in Permission}:
        return MEANINGS[Permission(scope)]
    return "All that the roles allow." if scope in SCOPES else scope

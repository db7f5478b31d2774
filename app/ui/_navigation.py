"""Which pages the header of each page leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.domain import Identity, Permission
from app.identity.permissions import is_allowed


@dataclass(frozen=True, slots=True)
class Entry:
    """A page that the header leads to.

    Attributes:
        path: Its address, without the prefix that a proxy takes off.
        needed: What one must be allowed to see it.
        of_operators: It stands among those for who runs the service.
    """

    path: str
    title: str
    needed: Permission
    of_operators: bool = False


ENTRIES: Final = (
    Entry("/ui/workflows", "Workflows", Permission.WORKFLOWS_READ),
    Entry("/ui/executions", "Executions", Permission.EXECUTIONS_READ),
    Entry("/ui/keys", "Keys", Permission.KEYS_READ),
    Entry("/ui/nodes", "Nodes", Permission.NODES_READ, of_operators=True),
    Entry("/ui/users", "Users", Permission.USERS_MANAGE, of_operators=True),
    Entry("/ui/audit", "Audit", Permission.AUDIT_READ, of_operators=True),
    Entry("/ui/system", "System", Permission.SYSTEM_READ, of_operators=True),
)
"""In the order of the header."""


def navigation(identity: Identity | None) -> tuple[Entry, ...]:
    """Return the entries for somebody; none for who has not signed in."""
    if identity is None:
        return ()
    return tuple(entry for entry in ENTRIES if is_allowed(identity, entry.needed))

"""Who somebody is, and by which credential, as the store keeps it."""

from __future__ import annotations

import json
from datetime import datetime

from app.domain import Credential, Identity, Permission, Role
from app.errors import NotAuthenticated


def write_identity(identity: Identity) -> str:
    """Write down who somebody is, and with which credential."""
    credential, expires_at = identity.credential, identity.credential.expires_at
    return json.dumps(
        {
            "username": identity.username,
            "roles": sorted(identity.roles),
            "scopes": None if identity.scopes is None else sorted(identity.scopes),
            "authenticator": credential.authenticator,
            "id": credential.id,
            "expires_at": None if expires_at is None else expires_at.isoformat(),
        }
    )


def read_identity(written: str) -> Identity:
    """Read what :func:`write_identity` wrote.

    Raises:
        NotAuthenticated: Another version of the service wrote it.
    """
    try:
        kept = json.loads(written)
        scopes, expires_at = kept["scopes"], kept["expires_at"]
        return Identity(
            kept["username"],
            frozenset(map(Role, kept["roles"])),
            scopes=None if scopes is None else frozenset(map(Permission, scopes)),
            credential=Credential(
                kept["authenticator"],
                kept["id"],
                None if expires_at is None else datetime.fromisoformat(expires_at),
            ),
        )
    except (KeyError, ValueError) as exc:
        raise NotAuthenticated("What is kept is of another version of the service.") from exc

"""Bearer tokens in a file, written from ``docs/guides/extending.md`` alone.

The file holds a JSON object: the id of each token, and the digest of its secret, its user, their
roles, and perhaps scopes and an end. A token is ``<id>.<secret>``. It is revoked by taking it out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from app.domain import Credential, Identity, Permission, Role
from app.errors import NotAuthenticated
from app.identity.port import Authenticator, Challenge, Claim, Context, RequestView
from app.settings.schema import Text, setting


class StaticTokens(Authenticator):
    """Takes the tokens of a file, as RFC 6750 sends them."""

    name = "static"
    needs = "a token"
    scheme = {"type": "http", "scheme": "bearer"}  # noqa: RUF012

    @dataclass(frozen=True)
    class Options:
        """The tokens."""

        file: str = setting(Text(required=True), "File with the tokens.")
        pepper: str = setting(Text(load_default=""), "Goes into each digest.", secret=True)

    def __init__(self, file: Path, pepper: str = "") -> None:
        self._file = file
        self._pepper = pepper

    @classmethod
    def create(cls, options: Any, context: Context) -> Self:
        return cls(Path(options.file), options.pepper)

    def claim(self, request: RequestView) -> Claim | None:
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        id_, dot, secret = token.strip().partition(".")
        if not (id_ and dot and secret):
            raise NotAuthenticated("The token cannot be read.")
        return Claim(id_, secret)

    def verify(self, claim: Claim) -> Identity:
        entry = self._entry(claim.subject)
        given = digest(claim.secret or "", self._pepper)
        if not hmac.compare_digest(given, entry.get("digest", "")):
            raise NotAuthenticated("The token is wrong.")
        return self._identity(claim.subject, entry)

    def recheck(self, identity: Identity) -> Identity:
        id_ = identity.credential.id
        entry = self._entry(id_)
        if not entry:
            raise NotAuthenticated("The token was revoked.")
        return self._identity(id_, entry)

    def challenge(self, refused: NotAuthenticated | None) -> Challenge | None:
        error = {"error": "invalid_token", "error_description": refused.message} if refused else {}
        return Challenge("Bearer", {"realm": "Slipway", **error})

    def _entry(self, id_: str) -> dict[str, Any]:
        entries: dict[str, dict[str, Any]] = json.loads(self._file.read_text(encoding="utf-8"))
        return entries.get(id_, {})

    def _identity(self, id_: str, entry: dict[str, Any]) -> Identity:
        ends, scopes = entry.get("expires_at"), entry.get("scopes")
        return Identity(
            entry["user"],
            frozenset(map(Role, entry["roles"])),
            scopes=None if scopes is None else frozenset(map(Permission, scopes)),
            credential=Credential(self.name, id_, datetime.fromisoformat(ends) if ends else None),
        )


def digest(secret: str, pepper: str = "") -> str:
    """Digest a secret as the file holds it."""
    return hashlib.sha256(f"{pepper}{secret}".encode()).hexdigest()

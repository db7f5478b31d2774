"""HTTP Basic (RFC 7617), for the users of the settings."""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, Self

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from app.domain import Identity
from app.errors import NotAuthenticated
from app.identity.port import (
    Authenticator,
    Challenge,
    Claim,
    Context,
    RequestView,
    credential_of,
)
from app.settings import UserSettings

log = structlog.get_logger(__name__)


class Basic(Authenticator):
    """Checks user names and passwords.

    A hash takes tens of milliseconds on purpose. A name that does not exist costs the same time as
    a wrong password.

    Args:
        users: The users of the settings.
    """

    name = "basic"
    needs = "a user name and a password"
    slow = True
    scheme = {"type": "http", "scheme": "basic"}  # noqa: RUF012  (a constant of the contract)

    def __init__(self, users: Sequence[UserSettings]) -> None:
        self._hasher = PasswordHasher()
        self._identities = {
            user.username: Identity(
                user.username,
                frozenset(user.roles),
                credential=credential_of(Basic, user.username),
            )
            for user in users
        }
        self._hashes = {user.username: self._hash_of(user) for user in users}
        self._nobody = self._hasher.hash(os.urandom(16).hex())

    @classmethod
    def create(cls, options: Any, context: Context) -> Self:
        """Build one for ``api.auth.users``."""
        return cls(context.settings.api.auth.users)

    def claim(self, request: RequestView) -> Claim | None:
        """Read the name and the password off the header field Authorization.

        Raises:
            NotAuthenticated: They are not written as RFC 7617 says.
        """
        scheme, _, encoded = (request.header("Authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            username, password = b64decode(encoded).decode().split(":", 1)
        except ValueError:
            raise NotAuthenticated("The user name and the password cannot be read.") from None
        return Claim(username, password, known=username in self._hashes)

    def verify(self, claim: Claim) -> Identity:
        """Return the user of that name.

        Raises:
            NotAuthenticated: The name or the password is wrong; the message does not say which.
        """
        hashed = self._hashes.get(claim.subject, self._nobody)
        if not self._is_of(hashed, claim.secret or "") or claim.subject not in self._hashes:
            raise NotAuthenticated("The user name or the password is wrong.")
        return self._identities[claim.subject]

    def recheck(self, identity: Identity) -> Identity:
        """Return what the user of that name is by now.

        Raises:
            NotAuthenticated: There is no such user any more.
        """
        try:
            return self._identities[identity.credential.id]
        except KeyError:
            raise NotAuthenticated("There is no such user any more.") from None

    def challenge(self, refused: NotAuthenticated | None) -> Challenge | None:
        """Return the challenge of RFC 7617, 2 and 2.1."""
        return Challenge("Basic", {"realm": "Slipway", "charset": "UTF-8"})

    def _is_of(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return False

    def _hash_of(self, user: UserSettings) -> str:
        if user.password_hash is not None:
            return user.password_hash
        log.warning("password in clear in the configuration", user=user.username)
        return self._hasher.hash(user.password or "")


def hash_password(password: str) -> str:
    """Hash a password for the configuration."""
    return PasswordHasher().hash(password)

"""Users of the configuration, and whether somebody is who he says."""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Sequence

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from app.concurrency import Pool
from app.domain import Identity, Role
from app.errors import NotAuthenticated
from app.settings import UserSettings

log = structlog.get_logger(__name__)

EVERYBODY = Identity("anonymous", frozenset(Role))
"""Who calls when the service runs without authentication."""

_MOST_REMEMBERED = 10_000


class Users:
    """Checks passwords.

    A hash takes tens of milliseconds on purpose, so it is computed in a pool, and a verified
    password is remembered for a while as a keyed digest. A name that does not exist costs the same
    time as a wrong password.

    Args:
        users: The users of the configuration.
        remember_seconds: How long a verified password is remembered.
        pool: Where hashes are computed.
    """

    def __init__(self, users: Sequence[UserSettings], remember_seconds: float, pool: Pool) -> None:
        self._hasher = PasswordHasher()
        self._pool = pool
        self._remember_seconds = remember_seconds
        self._key = os.urandom(32)
        self._remembered: dict[bytes, float] = {}
        self._identities = {u.username: Identity(u.username, frozenset(u.roles)) for u in users}
        self._hashes = {u.username: self._hash_of(u) for u in users}
        self._nobody = self._hasher.hash(os.urandom(16).hex())

    def authenticate(self, username: str, password: str) -> Identity:
        """Tell who somebody is.

        Raises:
            NotAuthenticated: The name or the password is wrong; it is not said which.
        """
        # The length keeps apart what is the name and what is the password.
        text = f"{len(username)}:{username}{password}"
        digest = hmac.digest(self._key, text.encode(), "sha256")
        expires = self._remembered.get(digest)
        if expires is None or expires < time.monotonic():
            known = self._hashes.get(username, self._nobody)
            if not self._pool.run(self._verify, known, password) or username not in self._hashes:
                raise NotAuthenticated("The user name or the password is wrong.")
            self._remember(digest)
        return self._identities[username]

    def identity(self, username: str) -> Identity:
        """Tell who a user is that signed in before.

        Raises:
            NotAuthenticated: There is no such user any more.
        """
        try:
            return self._identities[username]
        except KeyError:
            raise NotAuthenticated("There is no such user any more.") from None

    def _remember(self, digest: bytes) -> None:
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[digest] = time.monotonic() + self._remember_seconds

    def _verify(self, known: str, password: str) -> bool:
        try:
            return self._hasher.verify(known, password)
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

"""HTTP Basic (RFC 7617), for everybody who has a password."""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Sequence
from functools import cache, partial
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
    basic_challenge,
    credential_of,
)
from app.identity.users import User, UserDirectory
from app.settings import UserSettings

log = structlog.get_logger(__name__)


class Basic(Authenticator):
    """Checks user names and passwords.

    A hash takes tens of milliseconds on purpose. A name that does not exist costs the same time as
    a wrong password.

    Args:
        users: Everybody who may sign in.
        configured: Those of the settings, whose passwords may be in clear there.
    """

    name = "basic"
    needs = "a user name and a password"
    slow = True
    scheme = {"type": "http", "scheme": "basic"}  # noqa: RUF012  (a constant of the contract)

    def __init__(self, users: UserDirectory, configured: Sequence[UserSettings] = ()) -> None:
        self._users = users
        self._hasher = PasswordHasher()
        self._clear = {user.username: self._hash(user) for user in configured if user.password}
        self._nobody = self._hasher.hash(os.urandom(16).hex())

    @classmethod
    def create(cls, options: Any, context: Context) -> Self:
        """Build one for the users of the settings and those of the store."""
        return cls(context.users, context.settings.api.auth.users)

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
        known = self._hash_of(username) is not None
        user = username if known else None
        return Claim(username, password, known=known, username=user, name=username)

    def verify(self, claim: Claim) -> Identity:
        """Return the user of that name.

        Raises:
            NotAuthenticated: The name or the password is wrong; the message does not say which.
        """
        is_right = cache(partial(self._is_right, claim))  # dear, and the same of the same user

        def judge() -> Identity:
            known = self._users.find(claim.subject)
            if not is_right(known) or known is None:
                raise NotAuthenticated("The user name or the password is wrong.")
            return _identity(known)

        return self._users.anew(judge)

    def _is_right(self, claim: Claim, user: User | None) -> bool:
        """Compute as long for who does not exist as for everybody else."""
        hashed = self._hash_of(claim.subject)
        is_password_of = is_password(hashed or self._nobody, claim.secret or "", self._hasher)
        return is_password_of and hashed is not None and user is not None and not user.disabled

    def recheck(self, identity: Identity) -> Identity:
        """Return what the user of that name is by now.

        Raises:
            NotAuthenticated: There is no such user any more, they may not sign in any more, or
                their password is another one by now.
        """
        return self._users.anew(partial(self._by_now, identity.credential.id))

    def _by_now(self, credential_id: str) -> Identity:
        username, _, epoch = credential_id.partition(":")
        user = self._users.find(username)
        if user is None or user.disabled:
            raise NotAuthenticated("There is no such user any more.")
        if user.epoch != epoch:
            raise NotAuthenticated("The password is another one by now.")
        return _identity(user)

    def challenge(self, refused: NotAuthenticated | None) -> Challenge | None:
        """Return the challenge of RFC 7617, 2 and 2.1."""
        return basic_challenge()

    def _hash_of(self, username: str) -> str | None:
        """Return the hash of somebody's password; None for who has none."""
        user = self._users.find(username)
        if user is None:
            return None
        return user.password_hash or (self._clear.get(username) if user.configured else None)

    def _hash(self, user: UserSettings) -> str:
        log.warning("password in clear in the configuration", user=user.username)
        return self._hasher.hash(user.password or "")


def _identity(user: User) -> Identity:
    credential = credential_of(Basic, f"{user.username}:{user.epoch}")
    return Identity(user.username, user.roles, credential=credential)


def hash_password(password: str) -> str:
    """Hash a password with Argon2id (RFC 9106), which takes tens of milliseconds."""
    return PasswordHasher().hash(password)


def is_password(hashed: str, password: str, hasher: PasswordHasher | None = None) -> bool:
    """Return whether a hash is that of a password, in the time that it takes to make one."""
    try:
        return (hasher or PasswordHasher()).verify(hashed, password)
    except (Argon2Error, InvalidHashError):
        return False

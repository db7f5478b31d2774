"""Users of the configuration, and whether somebody is who he says."""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event, Lock

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from app.concurrency import FairPlaces, Pool
from app.domain import Identity, Role
from app.errors import NotAuthenticated, SlipwayError
from app.services.attempts import Attempts, side_of
from app.settings import UserSettings

log = structlog.get_logger(__name__)

EVERYBODY = Identity("anonymous", frozenset(Role))
"""Who calls when the service runs without authentication."""

_MOST_REMEMBERED = 10_000
_MOST_WAITING = 4


@dataclass(slots=True)
class _Check:
    """A password that is being checked.

    Attributes:
        right: None when nobody found out: who checked was ended, since their client went away.
    """

    done: Event = field(default_factory=Event)
    right: bool | None = None
    error: SlipwayError | None = None


class Users:
    """Checks passwords.

    A hash takes tens of milliseconds on purpose, so it is computed in a pool, and a verified
    password is remembered for a while as a keyed digest. A name that does not exist costs the same
    time as a wrong password.

    Names have their turns at the pool, those that do not exist one among them all, and addresses
    within a name. Who asks for more than a few at the same time is refused at once, and wrong
    passwords are slowed down. The same password asked for several times at once is computed once.

    Args:
        users: The users of the configuration.
        remember_seconds: How long a verified password is remembered.
        pool: Where hashes are computed.
        threads: How many it computes at the same time.
    """

    def __init__(
        self,
        users: Sequence[UserSettings],
        remember_seconds: float,
        pool: Pool,
        threads: int = 2,
    ) -> None:
        self._hasher = PasswordHasher()
        self._pool = pool
        self._places = FairPlaces(threads, _MOST_WAITING)
        self._attempts = Attempts()
        self._lock = Lock()
        self._under_way: dict[tuple[bytes, str], _Check] = {}
        self._remember_seconds = remember_seconds
        self._key = os.urandom(32)
        self._remembered: dict[bytes, float] = {}
        self._identities = {u.username: Identity(u.username, frozenset(u.roles)) for u in users}
        self._hashes = {u.username: self._hash_of(u) for u in users}
        self._nobody = self._hasher.hash(os.urandom(16).hex())

    def authenticate(self, username: str, password: str, address: str | None = None) -> Identity:
        """Tell who somebody is.

        Args:
            username: The name that he gives.
            password: The password that he gives.
            address: Where he calls from.

        Raises:
            NotAuthenticated: The name or the password is wrong; it is not said which.
            LimitExceeded: Too many wrong ones came before, or too many are checked just now.
        """
        # The length keeps apart what is the name and what is the password.
        text = f"{len(username)}:{username}{password}"
        digest = hmac.digest(self._key, text.encode(), "sha256")
        expires = self._remembered.get(digest)
        if expires is None or expires < time.monotonic():
            if not self._check(digest, username, password, side_of(address)):
                raise NotAuthenticated("The user name or the password is wrong.")
            self._remember(digest)
        return self._identities[username]

    def _check(self, digest: bytes, username: str, password: str, side: str) -> bool:
        """Check a password, together with others who ask for the same at the moment."""
        with self._lock:
            check = self._under_way.get((digest, side))
            mine = check is None
            if check is None:
                check = self._under_way[digest, side] = _Check()
        if not mine:
            check.done.wait()
            if check.error is not None:
                raise check.error.again()
            if check.right is None:
                return self._check(digest, username, password, side)
            return check.right
        try:
            check.right = right = self._check_alone(username, password, side)
        except SlipwayError as exc:
            check.error = exc
            raise
        finally:
            with self._lock:
                del self._under_way[digest, side]
            check.done.set()
        return right

    def _check_alone(self, username: str, password: str, side: str) -> bool:
        # All names that do not exist are one, so that making them up gains nobody a turn.
        name = username if username in self._hashes else ""
        self._attempts.check(name, side)
        with self._places.place(name, side):
            self._attempts.check(name, side)  # others may have been wrong meanwhile
            known = self._hashes.get(username, self._nobody)
            right = self._pool.run(self._verify, known, password) and username in self._hashes
        (self._attempts.succeeded if right else self._attempts.failed)(name, side)
        return right

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

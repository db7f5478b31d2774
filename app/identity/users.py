"""Who may sign in: the users of the settings and those of the store, as one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from app.domain import USERNAME, Role
from app.errors import NotAuthenticated
from app.identity.numbered import NumberedReads
from app.settings import UserSettings
from app.store.users import StoredUser, Users

T = TypeVar("T")

_FEW: Final = 1000
"""Where the store knows no more users than so many, all of them are read at once.

Then a name that is made up costs no look at the store, and neither does one that somebody has.
"""

_SCRYPT: Final = {"n": 2**14, "r": 8, "p": 1}
"""As dear as RFC 7914 advises for passwords that are typed to sign in."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whom the service knows.

    Attributes:
        password_hash: Argon2 hash; None for somebody who has no password.
        disabled: They may not sign in, by whatever credential.
        configured: They stand in the settings, which then say the password and the roles.
        epoch: Another text whenever what was issued to them before is to be worth nothing: after a
            change of the password, and when they are disabled, removed or added again.
    """

    username: str
    password_hash: str | None
    roles: frozenset[Role]
    disabled: bool
    configured: bool
    epoch: str

    @property
    def local(self) -> bool:
        """Whether the service itself says who they are, and no issuer of tokens."""
        return self.configured or self.password_hash is not None or bool(self.roles)


class UserDirectory:
    """Finds users by name, without asking the store each time.

    A change by another process is known within a quarter of a second.

    Args:
        configured: The users of the settings.
        store: Those of the store.
    """

    def __init__(self, configured: Sequence[UserSettings], store: Users) -> None:
        self._configured = {user.username: user for user in configured}
        self._passwords = {user.username: _password_mark(user) for user in configured}
        self._store = store
        self._reads = NumberedReads(store.revision, self._look_up)
        self._few = NumberedReads(store.revision, store.few)

    def find(self, username: str) -> User | None:
        """Return the user of a name, disabled or not; None where there is none.

        Raises:
            StoreUnavailable: Nobody knows.
        """
        if not USERNAME.fullmatch(username):
            return None
        few = self._few.get(_FEW)
        return self._reads.get(username) if few is None else self._user(username, few.get(username))

    def is_shut_out(self, username: str) -> bool:
        """Return whether somebody may not sign in, who need not be known otherwise.

        Users of an identity provider are known to the service only once they were disabled.

        Raises:
            StoreUnavailable: Nobody knows.
        """
        found = self.find(username)
        return found is not None and found.disabled

    def anew(self, judge: Callable[[], T]) -> T:
        """Return what is judged of users, of whom nobody is refused for what was a moment ago.

        Another process may just have added them, or begun a session or signed a token with what
        they have by now: before anybody is refused, the store is looked at, and judged once more.

        Args:
            judge: Finds users, and decides.

        Raises:
            NotAuthenticated: As it was judged with what holds now.
            StoreUnavailable: Nobody knows.
        """
        try:
            return judge()
        except NotAuthenticated:
            self._reads.look()
            self._few.look()
            return judge()

    def expire(self) -> None:
        """Forget what is remembered, because this process has changed something."""
        self._reads.expire()
        self._few.expire()

    def _look_up(self, username: str) -> User | None:
        return self._user(username, self._store.get(username))

    def _user(self, username: str, stored: StoredUser | None) -> User | None:
        configured = self._configured.get(username)
        if configured is not None:
            return _of_settings(configured, stored, self._passwords[username])
        return None if stored is None else _of_store(stored)


def _of_settings(configured: UserSettings, stored: StoredUser | None, password: str) -> User:
    """Return a user of the settings; of the store counts only whether they were disabled."""
    return User(
        configured.username,
        configured.password_hash,
        frozenset(configured.roles),
        disabled=stored is not None and stored.disabled and not stored.removed,
        configured=True,
        epoch=f"{0 if stored is None else stored.epoch}-{password}",
    )


def _of_store(stored: StoredUser) -> User:
    return User(
        stored.username,
        stored.password_hash,
        stored.roles or frozenset(),
        disabled=stored.disabled,
        configured=False,
        epoch=str(stored.epoch),
    )


def _password_mark(user: UserSettings) -> str:
    """Return what changes with a password, and is the same in every process.

    It stands in names of credentials, so what it is made of a password in clear must be as dear to
    guess as a hash that is stored.
    """
    if user.password is None:
        whole = hashlib.sha256((user.password_hash or "").encode()).digest()
    else:
        salt = f"slipway-epoch:{user.username}".encode()
        whole = hashlib.scrypt(user.password.encode(errors="replace"), salt=salt, **_SCRYPT)
    return whole.hex()[:16]

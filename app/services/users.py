"""Users: who there is, and who may sign in with which password and roles."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Final

from app.concurrency import FairPlaces, Pool
from app.domain import USERNAME, AuditEvent, Identity, Role
from app.errors import Conflict, FieldError, InvalidRequest, NotAllowed, NotFound
from app.identity.attempts import Attempts, side_of
from app.identity.basic import hash_password, is_password
from app.identity.users import User, UserDirectory
from app.services.audit import Audit
from app.settings import UserSettings
from app.store.users import Guard, StoredUser, Users

SHORTEST_PASSWORD: Final = 8
"""In characters (NIST SP 800-63B, 5.1.1.2)."""
LONGEST_PASSWORD: Final = 1024
_CONTROL: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
RESERVED: Final = frozenset({"anonymous", "api", "me", ".", ".."})
"""Names that mean something else: whoever calls without authentication, or with the shared key,
and what addresses cannot hold."""
HASHING_THREADS: Final = 1
_MOST_WAITING: Final = 4


@dataclass(frozen=True, slots=True)
class Account:
    """A user, as those who manage users see them.

    Attributes:
        configured: They stand in the settings, which say the password and the roles.
        has_password: Whether they can sign in with one.
        created_at: None of who stands in the settings alone.
    """

    username: str
    roles: tuple[Role, ...]
    disabled: bool
    configured: bool
    has_password: bool
    created_at: datetime | None
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to become another; what is None stays."""

    password: str | None = None
    roles: Collection[Role] | None = None
    disabled: bool | None = None


class UserService:
    """Manages the users of the store, beside those of the settings.

    A change counts within a quarter of a second in every web process. Passwords are hashed in a
    pool, in turns.

    Args:
        users: The users of the store.
        directory: All of them, as this process knows them; it forgets what was changed.
        configured: The users of the settings.
        pool: Where passwords are hashed.
        audit: Hears of each change, in the transaction of it.
    """

    def __init__(
        self,
        users: Users,
        directory: UserDirectory,
        configured: Sequence[UserSettings],
        pool: Pool,
        audit: Audit,
    ) -> None:
        self._users = users
        self._directory = directory
        self._configured = {user.username: user for user in configured}
        self._guard = Guard({u.username: Role.ADMIN in u.roles for u in configured})
        self._pool = pool
        self._places = FairPlaces(HASHING_THREADS, _MOST_WAITING)
        self._attempts = Attempts()
        self._audit = audit

    def list(self, after: str, most: int) -> tuple[list[Account], str | None]:
        """List users in the order of their names.

        Args:
            after: The last name of the page before; empty for the first page.
            most: How many at most.

        Returns:
            The users, and what the next page comes after; None at the end.
        """
        stored = {user.username: user for user in self._users.list(after, most + 1)}
        configured = sorted(name for name in self._configured if name > after)
        # Names of the settings have no rows, or removed ones, unless they were disabled.
        names = sorted({*stored, *islice(configured, most + 1)})
        page = names[:most]
        accounts = [self._account(name, stored.get(name)) for name in page]
        return accounts, page[-1] if len(names) > most else None

    def get(self, username: str) -> Account:
        """Return a user.

        Raises:
            NotFound: There is none.
        """
        stored = self._users.get(username) if USERNAME.fullmatch(username) else None
        if username not in self._configured and (stored is None or stored.removed):
            raise NotFound("There is no such user.")
        return self._account(username, stored)

    def add(
        self,
        username: str,
        roles: Collection[Role],
        password: str | None,
        *,
        again: bool = False,
        by: str = "",
    ) -> Account:
        """Add a user.

        Args:
            username: Their name, which nobody has.
            roles: What they may do.
            password: What they sign in with; None for who signs in otherwise.
            again: The name may be that of a user who was removed; what that one left behind then
                belongs to the new one.
            by: Who waits for it: callers have turns.

        Raises:
            InvalidRequest: The name or the password is none.
            Conflict: There is a user of that name, or there was one.
            LimitExceeded: Too many passwords are being hashed.
        """
        _check_name(username)
        if username in self._configured:
            raise Conflict(f"There is a user '{username}' already, in the settings.")
        hashed = None if password is None else self._hash(username, password, "password", by)
        detail = _words(UserChange(password, roles))
        event = self._event("add", username, detail)
        stored = self._users.add(username, hashed, roles, again=again, event=event)
        return self._done(stored, event)

    def change(
        self, username: str, change: UserChange, *, force: bool = False, by: str = ""
    ) -> Account:
        """Change a user.

        Args:
            username: Their name. Somebody whom only an identity provider knows can be disabled.
            change: What becomes another.
            force: Even if nobody is left who may manage users.
            by: Who waits for it: callers have turns.

        Raises:
            InvalidRequest: The password is none.
            NotFound: There is no such user.
            Conflict: The settings say that, or no admin would be left.
            LimitExceeded: Too many passwords are being hashed.
        """
        if not USERNAME.fullmatch(username):
            raise NotFound("There is no such user.")
        if username in self._configured:
            self._require_disabling_only(username, change)
        elif change.disabled is not True or change.password or change.roles:
            self.get(username)
        if change == UserChange():
            return self.get(username)
        hashed = None
        if change.password is not None:
            hashed = self._hash(username, change.password, "password", by)
        event = self._event("change", username, _words(change))
        stored = self._users.change(
            username,
            password_hash=hashed,
            roles=change.roles,
            disabled=change.disabled,
            guard=replace(self._guard, force=force),
            event=event,
        )
        return self._done(stored, event)

    def remove(self, username: str, *, force: bool = False) -> None:
        """Remove a user; what is theirs stays, and their name is not given again by itself.

        Raises:
            NotFound: There is no such user.
            Conflict: They stand in the settings, or no admin would be left.
        """
        if username in self._configured:
            text = f"'{username}' stands in the settings; remove them there, or disable them."
            raise Conflict(text)
        self.get(username)
        event = self._event("remove", username, "")
        stored = self._users.remove(username, guard=replace(self._guard, force=force), event=event)
        self._done(stored, event)

    def change_own_password(
        self, identity: Identity, old: str, new: str, address: str | None
    ) -> None:
        """Change the password of somebody who knows the one of now.

        What they signed in with before, here and elsewhere, is worth nothing then.

        Args:
            identity: Who.
            old: The password of now.
            new: The one from now on.
            address: Where they are; wrong passwords slow down the next ones from there.

        Raises:
            InvalidRequest: The new password is none.
            NotAllowed: The old one is wrong.
            Conflict: They have no password here.
            LimitExceeded: Too many wrong ones came before, or too many are being hashed.
        """
        username, side = identity.username, side_of(address)
        user = self._with_password(identity)
        _check_password(username, new, "new_password")
        self._attempts.check(username, side)
        with self._places.place(username, side):
            self._attempts.check(username, side)
            if not self._pool.run(is_password, user.password_hash or "", old):
                self._attempts.failed(username, side)
                fault = FieldError("old_password", "is not the password of now")
                raise NotAllowed("The old password is wrong.", fields=(fault,))
            hashed = self._pool.run(hash_password, new)
        self._attempts.succeeded(username, side)
        event = self._event("password", username, "their own password")
        self._done(self._users.change(username, password_hash=hashed, event=event), event)

    def _with_password(self, identity: Identity) -> User:
        user = self._directory.find(identity.username)
        if user is not None and user.configured:
            raise Conflict("Your password stands in the settings of the service; change it there.")
        if user is None or user.password_hash is None or identity.shared:
            raise Conflict("You have no password here.")
        return user

    def _require_disabling_only(self, username: str, change: UserChange) -> None:
        named = {"password": change.password, "roles": change.roles}
        faults = [
            FieldError(name, "is what the settings say")
            for name in named
            if named[name] is not None
        ]
        if faults:
            text = f"'{username}' stands in the settings, which say the password and the roles."
            raise Conflict(f"{text} Change them there.", fields=faults)

    def _hash(self, username: str, password: str, field: str, by: str) -> str:
        _check_password(username, password, field)
        with self._places.place(by):
            return self._pool.run(hash_password, password)

    def _event(self, what: str, username: str, detail: str) -> AuditEvent:
        return self._audit.event(f"users:{what}", f"/users/{username}", detail=detail)

    def _done(self, stored: StoredUser, event: AuditEvent) -> Account:
        self._directory.expire()
        self._audit.tell(event)
        return self._account(stored.username, stored)

    def _account(self, username: str, stored: StoredUser | None) -> Account:
        configured = self._configured.get(username)
        if stored is not None and stored.removed and configured is not None:
            stored = None
        roles = configured.roles if configured else (stored.roles if stored else None) or ()
        return Account(
            username,
            tuple(role for role in Role if role in roles),
            disabled=stored is not None and stored.disabled,
            configured=configured is not None,
            has_password=configured is not None
            or (stored is not None and stored.password_hash is not None),
            created_at=None if stored is None else stored.created_at,
            changed_at=None if stored is None else stored.changed_at,
        )


def _check_name(username: str) -> None:
    """Make sure that a name can be given.

    Raises:
        InvalidRequest: It cannot; the message says why.
    """
    if not USERNAME.fullmatch(username):
        text = "must be 1 to 100 characters without colons and spaces"
    elif not username.isprintable() or "/" in username:
        text = "must hold no '/' and no invisible characters"
    elif username.casefold() in RESERVED:
        text = "is reserved"
    else:
        return
    fault = FieldError("username", text)
    raise InvalidRequest("That cannot be the name of a user.", fields=(fault,))


def _check_password(username: str, password: str, field: str) -> None:
    """Make sure that a password can be used.

    Raises:
        InvalidRequest: It cannot; the message says why, and never what it is.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        text = f"must be {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters long"
    elif _CONTROL.search(password):
        text = "must hold no control characters"  # RFC 7617, 2
    elif password.casefold() == username.casefold():
        text = "must not be the user name"
    else:
        return
    raise InvalidRequest("That cannot be a password.", fields=(FieldError(field, text),))


def _words(change: UserChange) -> str:
    """Return what a change changes, in words; what the password is, never."""
    words = []
    if change.roles is not None:
        words.append("roles: " + ", ".join(sorted(change.roles)))
    if change.password is not None:
        words.append("a password")
    if change.disabled is not None:
        words.append("disabled" if change.disabled else "enabled")
    return "; ".join(words)

"""Users that the store knows: those who were added, and what was said of users of the settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Text,
    insert,
    or_,
    select,
    type_coerce,
    update,
)

from app.domain import AuditEvent, Role
from app.errors import Conflict, NotFound
from app.store.api_keys import end_keys_of
from app.store.audit import keep
from app.store.counters import last_number, next_number
from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import users
from app.store.sessions import end_sessions_of

_COUNTER: Final = "users"


@dataclass(frozen=True, slots=True)
class StoredUser:
    """What the store knows of somebody.

    Attributes:
        password_hash: Argon2 hash; None where the store has no password, as of somebody of whom it
            only knows that they are disabled.
        roles: None where the store does not say any.
        disabled: They may not sign in, by whatever credential.
        removed: They were removed. The name is kept, since executions and keys bear it.
        epoch: Another number whenever what was issued to them before is to be worth nothing: after
            a change of the password, and when they are disabled, removed or added again.
    """

    username: str
    password_hash: str | None
    roles: frozenset[Role] | None
    disabled: bool
    removed: bool
    epoch: int
    created_at: datetime
    changed_at: datetime


_Change = Callable[[StoredUser | None], dict[str, Any]]


class Users:
    """The users in the store. Each change gets a number, by which others see that there was one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revision(self) -> int:
        """Return the number of the last change of any user; 0 before the first."""
        return last_number(self._database, _COUNTER)

    def get(self, username: str) -> StoredUser | None:
        """Read what is known of somebody; None where it is nothing."""
        with self._database.read() as connection:
            return _find(connection, username)

    def few(self, most: int) -> Mapping[str, StoredUser] | None:
        """Return all of whom anything is known, by name; None where there are more than so many."""
        with self._database.read() as connection:
            found = connection.execute(select(users).limit(most + 1)).mappings().all()
        if len(found) > most:
            return None
        return {row["username"]: _read(row) for row in found}

    def list(self, after: str, most: int) -> list[StoredUser]:
        """List the users by the code points of their names, those who were removed left out.

        Args:
            after: The last name that is known already; empty for the first page.
            most: How many are returned at most.
        """
        name: ColumnElement[str] = users.c.username
        if not self._database.is_sqlite:
            name = name.collate("C")  # as SQLite and Python do it, whatever the language
        statement = (
            select(users)
            .where(name > after, users.c.removed_at.is_(None))
            .order_by(name)
            .limit(most)
        )
        with self._database.read() as connection:
            return [_read(row) for row in connection.execute(statement).mappings()]

    def add(
        self,
        username: str,
        password_hash: str | None,
        roles: Collection[Role],
        *,
        again: bool = False,
        event: AuditEvent | None = None,
    ) -> StoredUser:
        """Add a user.

        Args:
            username: Their name, which nobody has.
            password_hash: Argon2 hash; None for somebody who signs in without a password.
            roles: What they may do.
            again: The name may be that of a user who was removed; what that one left behind then
                belongs to the new one.
            event: What the audit says of it, written with it.

        Raises:
            Conflict: There is a user of that name, or there was one.
        """

        def change(found: StoredUser | None) -> dict[str, Any]:
            if found is not None and not found.removed and found.disabled and found.roles is None:
                raise Conflict(f"Whoever is called '{username}' is disabled; enable them first.")
            if found is not None and not found.removed and found.roles is not None:
                raise Conflict(f"There is a user '{username}' already.")
            if found is not None and found.removed and not again:
                raise Conflict(
                    f"There was a user '{username}', whose executions and keys bear the name; who "
                    "is added again gets them."
                )
            values = {"password_hash": password_hash, "roles": sorted(roles)}
            return {**values, "disabled": False, "removed_at": None}

        return self._put(username, change, ends=True, event=event)

    def change(
        self,
        username: str,
        *,
        password_hash: str | None = None,
        roles: Collection[Role] | None = None,
        disabled: bool | None = None,
        guard: Guard | None = None,
        event: AuditEvent | None = None,
    ) -> StoredUser:
        """Change what is known of somebody, all of it at once; what is None stays.

        Args:
            username: Their name. The store need not know who is only disabled or enabled.
            password_hash: Their password from now on.
            roles: What they may do from now on.
            disabled: Whether they may not sign in.
            guard: Refuses it where no admin would be left.
            event: What the audit says of it, written with it.

        Raises:
            NotFound: The store does not know them.
            Conflict: No admin would be left who can sign in.
        """
        about_user: dict[str, Any] = {}
        if password_hash is not None:
            about_user["password_hash"] = password_hash
        if roles is not None:
            about_user["roles"] = sorted(roles)

        def change(found: StoredUser | None) -> dict[str, Any]:
            if found is not None and not found.removed:
                return about_user if disabled is None else {**about_user, "disabled": disabled}
            is_configured = guard is not None and username in guard.configured
            if about_user or disabled is None or (found is not None and not is_configured):
                raise _unknown(username)
            return {"disabled": disabled, "removed_at": None}

        ends = password_hash is not None or bool(disabled)
        return self._put(username, change, ends=ends, guard=guard, event=event)

    def remove(
        self,
        username: str,
        *,
        guard: Guard | None = None,
        event: AuditEvent | None = None,
    ) -> StoredUser:
        """Remove a user; their name stays known, and nobody signs in with it.

        Raises:
            NotFound: The store does not know them.
            Conflict: No admin would be left who can sign in; see :meth:`change`.
        """

        def change(found: StoredUser | None) -> dict[str, Any]:
            if found is None or found.removed:
                raise _unknown(username)
            return {"password_hash": None, "roles": None, "disabled": True, "removed_at": now()}

        return self._put(username, change, ends=True, guard=guard, event=event)

    def _put(
        self,
        username: str,
        change: _Change,
        *,
        ends: bool,
        guard: Guard | None = None,
        event: AuditEvent | None = None,
    ) -> StoredUser:
        """Write a change down, under the next number.

        Args:
            username: Of whom.
            change: Gets what is known of them, and returns the columns that become others.
            ends: What was issued to them before is worth nothing then.
            guard: Keeps the last admin.
            event: For the audit.
        """

        def work(connection: Connection) -> StoredUser:
            # The number comes first: who takes it keeps others waiting until the transaction ends,
            # so what is read next is what the change is about.
            number, moment = next_number(connection, _COUNTER), now()
            found = _find(connection, username)
            values = {**change(found), "changed_at": moment}
            if ends or found is None:
                values["epoch"] = number
            if found is None:
                new = {"username": username, "created_at": moment, **values}
                connection.execute(insert(users).values(**new))
            else:
                mine = users.c.username == username
                connection.execute(update(users).where(mine).values(**values))
            changed = _known(connection, username)
            if changed.disabled:
                end_keys_of(connection, username)
            if ends:
                end_sessions_of(connection, username)
            if guard is not None:
                guard.check(connection, username, found, changed)
            if event is not None:
                keep(connection, event)
            return changed

        return self._database.write(work)


@dataclass(frozen=True, slots=True)
class Guard:
    """Keeps an admin in the service.

    Attributes:
        configured: The users of the settings by name, and whether each is an admin there; the store
            decides only whether they are disabled.
        force: Nobody is kept.
    """

    configured: Mapping[str, bool]
    force: bool = False

    def check(
        self,
        connection: Connection,
        username: str,
        before: StoredUser | None,
        after: StoredUser,
    ) -> None:
        """Make sure that somebody is left who may manage users, and can sign in with a password.

        Raises:
            Conflict: The change takes that from the last one.
        """
        was_admin = self._is_admin(username, before)
        if self.force or not was_admin or self._is_admin(username, after):
            return
        rows = select(users).where(
            or_(
                type_coerce(users.c.roles, Text).contains(f'"{Role.ADMIN}"'),
                users.c.username.in_(
                    [name for name, is_admin in self.configured.items() if is_admin]
                ),
            )
        )
        stored = {row["username"]: _read(row) for row in connection.execute(rows).mappings()}
        if not any(self._is_admin(name, stored.get(name)) for name in {*stored, *self.configured}):
            raise Conflict(
                f"'{username}' is the last admin who can sign in with a password; it is done all "
                "the same only if it is forced."
            )

    def _is_admin(self, username: str, stored: StoredUser | None) -> bool:
        if username in self.configured:
            is_out = stored is not None and stored.disabled and not stored.removed
            return self.configured[username] and not is_out
        if stored is None or stored.disabled or stored.password_hash is None:
            return False
        return Role.ADMIN in (stored.roles or ())


def _unknown(username: str) -> NotFound:
    return NotFound(f"There is no user '{username}'.")


def _known(connection: Connection, username: str) -> StoredUser:
    found = _find(connection, username)
    if found is None:
        raise _unknown(username)
    return found


def _find(connection: Connection, username: str) -> StoredUser | None:
    statement = select(users).where(users.c.username == username)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else _read(row)


def _read(row: RowMapping) -> StoredUser:
    roles = row["roles"]
    return StoredUser(
        username=row["username"],
        password_hash=row["password_hash"],
        roles=None if roles is None else frozenset(map(Role, roles)),
        disabled=row["disabled"],
        removed=row["removed_at"] is not None,
        epoch=row["epoch"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
    )

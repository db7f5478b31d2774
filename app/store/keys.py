"""Public records of SSH keys, and the encrypted private halves of the embedded key store."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, func, insert, inspect, or_, select, update

from app.domain import SshKey
from app.errors import Conflict, MadeAlready
from app.store.database import Database
from app.store.locks import Lock, take_lock
from app.store.schema import ssh_key_secrets, ssh_key_successors, ssh_keys

NOTED_EVERY: Final = timedelta(minutes=1)
"""How often at most it is written down that a key was used."""


class Sealed(NamedTuple):
    """Something encrypted, with its nonce."""

    nonce: bytes
    ciphertext: bytes


class SshKeys:
    """Who owns which key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: SshKey, most: int, *, beginning: str = "") -> None:
        """Store the public record of a key.

        Args:
            key: The key.
            most: How many its owner may have.
            beginning: How its id begins that its owner may have once only; empty where any may be.

        Raises:
            Conflict: They have so many already.
            MadeAlready: They have one whose id begins so, or one that is to replace the same.
        """

        def work(connection: Connection) -> None:
            take_lock(connection, Lock.SSH_KEY, key.owner)
            if beginning:
                _require_new(connection, key.owner, beginning)
            _require_room(connection, key.owner, most)
            if key.replaces is not None:
                _require_place(connection, key.replaces)
            connection.execute(insert(ssh_keys).values(asdict(key)))

        self._database.write(work)

    def require_room(self, owner: str, most: int) -> None:
        """Make sure that a user may have one more key.

        Raises:
            Conflict: They have as many as they may.
        """
        with self._database.read() as connection:
            _require_room(connection, owner, most)

    def require_new(self, owner: str, beginning: str) -> None:
        """Make sure that a user has no key whose id begins so.

        Raises:
            MadeAlready: They have.
        """
        with self._database.read() as connection:
            _require_new(connection, owner, beginning)

    def of(self, owner: str) -> list[SshKey]:
        """List a user's keys, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(ssh_keys)
                .where(ssh_keys.c.owner == owner)
                .order_by(ssh_keys.c.created_at.desc(), ssh_keys.c.id)
            )
            return [SshKey(**row) for row in rows.mappings()]

    def is_known(self, key_id: str) -> bool:
        """Return whether anybody has a key of this whole id."""
        with self._database.read() as connection:
            found = connection.execute(select(ssh_keys.c.id).where(ssh_keys.c.id == key_id))
            return found.first() is not None

    def current(self, key_id: str) -> str | None:
        """Return the id of a key, or that of the one that has taken its place; None without."""
        after = select(ssh_key_successors.c.successor).where(ssh_key_successors.c.id == key_id)
        either = or_(ssh_keys.c.id == key_id, ssh_keys.c.id == after.scalar_subquery())
        with self._database.read() as connection:
            return connection.execute(select(ssh_keys.c.id).where(either)).scalar_one_or_none()

    def names(self, key_id: str) -> frozenset[str]:
        """Return the ids that stand for a key: its own, and those of keys that it replaced."""
        earlier = select(ssh_key_successors.c.id).where(ssh_key_successors.c.successor == key_id)
        with self._database.read() as connection:
            return frozenset({key_id, *connection.execute(earlier).scalars()})

    def names_of(self, owner: str) -> dict[str, frozenset[str]]:
        """Return the ids that stand for each key of a user, by its own; see :meth:`names`."""
        own = select(ssh_keys.c.id).where(ssh_keys.c.owner == owner)
        successors = ssh_key_successors
        earlier = select(successors.c.id, successors.c.successor).where(
            successors.c.successor.in_(own)
        )
        with self._database.read() as connection:
            found = {key_id: {key_id} for key_id in connection.execute(own).scalars()}
            for key_id, successor in connection.execute(earlier):
                found.setdefault(successor, {successor}).add(key_id)
        return {key_id: frozenset(names) for key_id, names in found.items()}

    def used(self, key_id: str, moment: datetime, *, succeeded: bool) -> None:
        """Write down that a key was used, or has logged in, once a minute at most.

        Args:
            key_id: The key.
            moment: When.
            succeeded: Whether it has logged in.
        """
        column = ssh_keys.c.last_succeeded_at if succeeded else ssh_keys.c.last_used_at
        long_ago = or_(column.is_(None), column <= moment - NOTED_EVERY)
        noted = update(ssh_keys).where(ssh_keys.c.id == key_id, long_ago).values({column: moment})
        self._database.write(lambda c: c.execute(noted), durable=False, idempotent=True)

    def succeed(self, key_id: str, successor: str) -> bool:
        """Let a key take the place of the one that it was made to replace.

        From then on the id of the old one stands for the new one.

        Returns:
            False if there is no such key, or it does not replace that one (any more).
        """
        successors = ssh_key_successors

        def work(connection: Connection) -> bool:
            mine = ssh_keys.c.id == successor, ssh_keys.c.replaces == key_id
            if not connection.execute(update(ssh_keys).where(*mine).values(replaces=None)).rowcount:
                return False
            earlier = update(successors).where(successors.c.successor == key_id)
            connection.execute(earlier.values(successor=successor))
            row = {"id": key_id, "successor": successor, "is_removed": False}
            connection.execute(insert(successors).values(row))
            connection.execute(delete(ssh_keys).where(ssh_keys.c.id == key_id))
            return True

        return self._database.write(work)

    def left_over(self, most: int) -> list[str]:
        """Return ids of keys that were replaced, and whose private halves may still be there."""
        unremoved = select(ssh_key_successors.c.id).where(~ssh_key_successors.c.is_removed)
        with self._database.read() as connection:
            return list(connection.execute(unremoved.limit(most)).scalars())

    def removed(self, key_id: str) -> None:
        """Note that the private half of a key that was replaced is gone."""
        noted = update(ssh_key_successors).where(ssh_key_successors.c.id == key_id)
        self._database.write(lambda c: c.execute(noted.values(is_removed=True)))

    def remove(self, key_id: str) -> None:
        """Forget the public record of a key; idempotent.

        One that was to replace it is a key like any other from then on.
        """

        def work(connection: Connection) -> None:
            waiting = update(ssh_keys).where(ssh_keys.c.replaces == key_id)
            connection.execute(waiting.values(replaces=None))
            connection.execute(delete(ssh_keys).where(ssh_keys.c.id == key_id))

        self._database.write(work)


def _require_room(connection: Connection, owner: str, most: int) -> None:
    own = select(func.count()).select_from(ssh_keys).where(ssh_keys.c.owner == owner)
    if connection.execute(own).scalar_one() >= most:
        raise Conflict(f"You have {most} SSH keys, which is the most; revoke one first.")


def _require_new(connection: Connection, owner: str, beginning: str) -> None:
    begins_so = ssh_keys.c.id.startswith(beginning, autoescape=True)
    same = select(ssh_keys.c.id).where(ssh_keys.c.owner == owner, begins_so)
    if connection.execute(same).first() is not None:
        raise MadeAlready("This key pair was made already.")


def _require_place(connection: Connection, key_id: str) -> None:
    waiting = select(ssh_keys.c.id).where(ssh_keys.c.replaces == key_id)
    if connection.execute(waiting).first() is not None:
        raise MadeAlready("There is a key already that is to replace this one.")


class SealedKeys:
    """Encrypted private keys; what decrypts them is not in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, key_id: str, sealed: Sealed) -> None:
        """Store an encrypted key under a new id."""
        values = {"id": key_id, **sealed._asdict()}
        self._database.write(lambda c: c.execute(insert(ssh_key_secrets).values(values)))

    def get(self, key_id: str) -> Sealed | None:
        """Read an encrypted key; None when there is none."""
        with self._database.read() as connection:
            row = connection.execute(
                select(ssh_key_secrets).where(ssh_key_secrets.c.id == key_id)
            ).one_or_none()
        return None if row is None else Sealed(row.nonce, row.ciphertext)

    def any(self) -> bool:
        """Return whether any key is stored, which only the master key of its time can decrypt."""
        with self._database.read() as connection:
            if not inspect(connection).has_table(ssh_key_secrets.name):
                return False  # nothing was ever written
            return connection.execute(select(ssh_key_secrets.c.id).limit(1)).first() is not None

    def delete(self, key_id: str) -> None:
        """Remove an encrypted key; idempotent."""
        self._database.write(
            lambda c: c.execute(delete(ssh_key_secrets).where(ssh_key_secrets.c.id == key_id))
        )

"""Public records of SSH keys, and the encrypted private halves of the embedded key store."""

from __future__ import annotations

from dataclasses import asdict
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, inspect, select

from app.domain import SshKey
from app.errors import Conflict, MadeAlready
from app.store.database import Database
from app.store.locks import Lock, take_lock
from app.store.schema import ssh_key_secrets, ssh_keys


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
            MadeAlready: They have one whose id begins so.
        """

        def work(connection: Connection) -> None:
            take_lock(connection, Lock.SSH_KEY, key.owner)
            if beginning:
                _require_new(connection, key.owner, beginning)
            _require_room(connection, key.owner, most)
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

    def remove(self, key_id: str) -> None:
        """Forget the public record of a key; idempotent."""
        self._database.write(lambda c: c.execute(delete(ssh_keys).where(ssh_keys.c.id == key_id)))


def _require_room(connection: Connection, owner: str, most: int) -> None:
    own = select(func.count()).select_from(ssh_keys).where(ssh_keys.c.owner == owner)
    if connection.execute(own).scalar_one() >= most:
        raise Conflict(f"You have {most} SSH keys, which is the most; revoke one first.")


def _require_new(connection: Connection, owner: str, beginning: str) -> None:
    begins_so = ssh_keys.c.id.startswith(beginning, autoescape=True)
    same = select(ssh_keys.c.id).where(ssh_keys.c.owner == owner, begins_so)
    if connection.execute(same).first() is not None:
        raise MadeAlready("This key pair was made already.")


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

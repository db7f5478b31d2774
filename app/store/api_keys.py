"""API keys, as digests, so that a copy of the database opens nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, delete, func, insert, or_, select, update
from sqlalchemy.sql.expression import ColumnElement

from app.domain import AuditEvent, Role
from app.errors import Conflict, MadeAlready
from app.store.audit import keep
from app.store.counters import last_number, next_number
from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import api_keys

_COUNTER: Final = "api_keys"
_MOST_ENDED: Final = 100
"""As many keys of one owner are kept that are worth nothing any more, the newest."""
USED_EVERY: Final = timedelta(minutes=1)
"""How often it is written down at most that a key is used."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What the store knows of an API key; the key itself it never knew.

    Attributes:
        number: Of later ones it is higher.
        id: Names it in addresses and in the audit.
        prefix: Its first 8 characters, by which its owner tells it from others.
        owner: User name of whom it stands for.
        foreign: Its owner was not known to the service, but to an issuer of tokens.
        name: What the owner calls it.
        roles: What it may do, as far as its owner may by then.
        scopes: Words that restrict it further; None for no restriction.
        revoked_at: When it was revoked, or its owner disabled or removed.
    """

    number: int
    id: str
    prefix: str
    owner: str
    foreign: bool
    name: str
    roles: frozenset[Role]
    scopes: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that is to be stored; see :class:`ApiKey`.

    Attributes:
        digest: SHA-256 of the whole key, in hexadecimal digits.
    """

    id: str
    digest: str
    prefix: str
    owner: str
    foreign: bool
    name: str
    roles: frozenset[Role]
    scopes: tuple[str, ...] | None
    expires_at: datetime | None


class ApiKeys:
    """The API keys in the store. Each end of one gets a number, by which others see it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revision(self) -> int:
        """Return the number of the last change of any key; 0 before the first."""
        return last_number(self._database, _COUNTER)

    def by_digest(self, digest: str) -> ApiKey | None:
        """Return the key of a digest, revoked or not; None where there is none."""
        return self._one(api_keys.c.digest == digest)

    def by_id(self, id_: str) -> ApiKey | None:
        """Return the key of an id, revoked or not; None where there is none."""
        return self._one(api_keys.c.id == id_)

    def named(self, name: str, owner: str | None) -> list[ApiKey]:
        """Return the keys that are good by now and have an id, or else a prefix.

        Args:
            name: The id, or the first 8 characters.
            owner: Whose; None for anybody's.
        """
        wanted = [or_(api_keys.c.id == name, api_keys.c.prefix == name), _good()]
        if owner is not None:
            wanted.append(api_keys.c.owner == owner)
        statement = select(api_keys).where(*wanted).limit(2)
        with self._database.read() as connection:
            return [_read(row) for row in connection.execute(statement).mappings()]

    def list(self, owner: str | None, before: int | None, most: int) -> list[ApiKey]:
        """List keys that were not revoked, newest first, those that have expired among them.

        Args:
            owner: Whose; None for everybody's.
            before: Only those with lower numbers.
            most: How many are returned at most.
        """
        statement = select(api_keys).where(api_keys.c.revoked_at.is_(None))
        if owner is not None:
            statement = statement.where(api_keys.c.owner == owner)
        if before is not None:
            statement = statement.where(api_keys.c.number < before)
        newest_first = statement.order_by(api_keys.c.number.desc()).limit(most)
        with self._database.read() as connection:
            return [_read(row) for row in connection.execute(newest_first).mappings()]

    def add(self, key: NewApiKey, most: int, event: AuditEvent) -> ApiKey:
        """Store a key.

        Args:
            key: The key.
            most: How many good ones its owner may have.
            event: Is audited with it.

        Raises:
            Conflict: They have so many already.
            MadeAlready: There is, or was, a key of this id.
        """

        def work(connection: Connection) -> ApiKey:
            # Taken first, so that two keys at once are counted one after the other.
            next_number(connection, _COUNTER)
            same = select(api_keys.c.number).where(api_keys.c.id == key.id)
            if connection.execute(same).first() is not None:
                raise MadeAlready("This key was made already.")
            good = select(func.count()).where(api_keys.c.owner == key.owner, _good())
            if connection.execute(good).scalar_one() >= most:
                text = f"'{key.owner}' has {most} API keys, which is the most; revoke one first."
                raise Conflict(text)
            _forget_ended(connection, key.owner)
            connection.execute(insert(api_keys).values(**_row(key), created_at=now()))
            keep(connection, event)
            mine = select(api_keys).where(api_keys.c.id == key.id)
            return _read(connection.execute(mine).mappings().one())

        return self._database.write(work)

    def revoke(self, key: ApiKey, event: AuditEvent) -> bool:
        """Revoke a key.

        Args:
            key: The key.
            event: Is audited with it.

        Returns:
            False when it was revoked already.
        """

        def work(connection: Connection) -> bool:
            if not _end(connection, api_keys.c.number == key.number):
                return False
            keep(connection, event)
            return True

        return self._database.write(work)

    def used(self, moments: Mapping[str, datetime]) -> None:
        """Write down when keys were used last, of each once a minute at most.

        Args:
            moments: When, by the id.
        """

        def work(connection: Connection) -> None:
            for id_, moment in moments.items():
                long_ago = or_(
                    api_keys.c.last_used_at.is_(None),
                    api_keys.c.last_used_at <= moment - USED_EVERY,
                )
                mine = update(api_keys).where(api_keys.c.id == id_, long_ago)
                connection.execute(mine.values(last_used_at=moment))

        self._database.write(work, durable=False, idempotent=True)

    def _one(self, condition: ColumnElement[bool]) -> ApiKey | None:
        with self._database.read() as connection:
            row = connection.execute(select(api_keys).where(condition)).mappings().one_or_none()
        return None if row is None else _read(row)


def end_keys_of(connection: Connection, owner: str) -> None:
    """End all keys of somebody, in the transaction that disables or removes them.

    It is for good: who is enabled again makes new ones.
    """
    _end(connection, api_keys.c.owner == owner)


def _end(connection: Connection, condition: ColumnElement[bool]) -> int:
    """Revoke the keys that meet a condition and were not revoked; return their number."""
    next_number(connection, _COUNTER)
    statement = update(api_keys).where(condition, api_keys.c.revoked_at.is_(None))
    return connection.execute(statement.values(revoked_at=now())).rowcount


def _good() -> ColumnElement[bool]:
    unexpired = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now())
    return api_keys.c.revoked_at.is_(None) & unexpired


def _forget_ended(connection: Connection, owner: str) -> None:
    """Remove the oldest keys of somebody that are worth nothing any more, if there are many."""
    mine = api_keys.c.owner == owner
    ended = select(api_keys.c.number).where(mine, ~_good()).order_by(api_keys.c.number.desc())
    last = connection.execute(ended.offset(_MOST_ENDED).limit(1)).scalar_one_or_none()
    if last is not None:
        connection.execute(delete(api_keys).where(mine, ~_good(), api_keys.c.number <= last))


def _row(key: NewApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "digest": key.digest,
        "prefix": key.prefix,
        "owner": key.owner,
        "foreign_owner": key.foreign,
        "name": key.name,
        "roles": sorted(key.roles),
        "scopes": None if key.scopes is None else list(key.scopes),
        "expires_at": key.expires_at,
    }


def _read(row: RowMapping) -> ApiKey:
    scopes: Sequence[str] | None = row["scopes"]
    return ApiKey(
        number=row["number"],
        id=row["id"],
        prefix=row["prefix"],
        owner=row["owner"],
        foreign=row["foreign_owner"],
        name=row["name"],
        roles=frozenset(map(Role, row["roles"])),
        scopes=None if scopes is None else tuple(scopes),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
    )

"""Sessions of browsers, as digests, so that a copy of the database opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, RowMapping, and_, delete, insert, or_, select, update
from sqlalchemy.sql.expression import ColumnElement

from app.domain import AuditEvent
from app.store.audit import keep
from app.store.counters import last_number, next_number
from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import sessions

_COUNTER: Final = "sessions"
USED_EVERY: Final = timedelta(minutes=1)
"""How often it is written down at most that a session is used."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that is to be stored.

    Attributes:
        id: Names it in the audit.
        digest: SHA-256 of what the browser holds, in hexadecimal digits.
        username: Whose it is.
        epoch: Another text whenever what was issued to that user before is worth nothing.
        identity: Who they are, and by which credential, as the service writes it.
        address: From where it was begun.
        user_agent: What the browser called itself then.
        expires_at: When it ends, however much it is used.
    """

    id: str
    digest: str
    username: str
    epoch: str
    identity: str
    address: str | None
    user_agent: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session in the store; see :class:`NewSession`.

    Attributes:
        last_used_at: To the minute.
    """

    id: str
    username: str
    epoch: str
    identity: str
    address: str | None
    user_agent: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


class Sessions:
    """The sessions in the store. Each change gets a number, by which others see it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revision(self) -> int:
        """Return the number of the last change of any session; 0 before the first."""
        return last_number(self._database, _COUNTER)

    def by_digest(self, digest: str) -> StoredSession | None:
        """Return the session of a digest; None where there is none."""
        return self._one(sessions.c.digest == digest)

    def by_id(self, id_: str) -> StoredSession | None:
        """Return the session of an id; None where there is none."""
        return self._one(sessions.c.id == id_)

    def of_user(self, username: str) -> list[StoredSession]:
        """Return the sessions of somebody, newest first, those that have ended by themselves too.

        They are no more than one may have, see :meth:`add`.
        """
        mine = select(sessions).where(sessions.c.username == username)
        with self._database.read() as connection:
            rows = connection.execute(mine.order_by(sessions.c.number.desc())).mappings()
            return [_read(row) for row in rows]

    def add(self, session: NewSession, most: int, idle: timedelta, event: AuditEvent) -> None:
        """Store a session, and forget those that have ended by themselves.

        Args:
            session: The session.
            most: How many its user may have; of more, the one that was not used for longest ends.
            idle: After so long without use they end.
            event: Is audited with it.
        """

        def work(connection: Connection) -> None:
            # Taken first, so that whoever adds or ends sessions does so one after the other.
            next_number(connection, _COUNTER)
            moment = now()
            _forget_over(connection, moment, idle)
            of_user = (
                select(sessions.c.number)
                .where(sessions.c.username == session.username)
                .order_by(sessions.c.last_used_at.desc(), sessions.c.number.desc())
                .offset(most - 1)
            )
            too_many = connection.execute(of_user).scalars().all()
            connection.execute(delete(sessions).where(sessions.c.number.in_(too_many)))
            row = {name: getattr(session, name) for name in session.__slots__}
            connection.execute(
                insert(sessions).values(**row, created_at=moment, last_used_at=moment)
            )
            keep(connection, event)

        self._database.write(work)

    def prune(self, idle_seconds: float) -> int:
        """Remove those that have ended by themselves; return how many there were.

        Args:
            idle_seconds: After so long without use they end.
        """
        idle = timedelta(seconds=idle_seconds)
        return self._database.write(lambda c: _forget_over(c, now(), idle), durable=False)

    def end(self, id_: str, event: AuditEvent) -> bool:
        """End a session.

        Args:
            id_: Its id.
            event: Is audited with it.

        Returns:
            False when it had ended already.
        """

        def work(connection: Connection) -> bool:
            if not _end(connection, sessions.c.id == id_):
                return False
            keep(connection, event)
            return True

        return self._database.write(work)

    def end_all(self, username: str, kept: str | None, idle: timedelta, event: AuditEvent) -> int:
        """End the sessions of somebody.

        Args:
            username: Whose.
            kept: Id of the one that goes on; None for none.
            idle: After so long without use they have ended by themselves.
            event: Is audited with it, if any was ended.

        Returns:
            How many were ended.
        """
        wanted = [sessions.c.username == username]
        if kept is not None:
            wanted.append(sessions.c.id != kept)

        def work(connection: Connection) -> int:
            _forget_over(connection, now(), idle)
            ended = _end(connection, and_(*wanted))
            if ended:
                keep(connection, event)
            return ended

        return self._database.write(work)

    def used(self, moments: Mapping[str, datetime]) -> None:
        """Write down when sessions were used last, of each once a minute at most.

        Args:
            moments: When, by the id.
        """

        def work(connection: Connection) -> None:
            for id_, moment in moments.items():
                mine = update(sessions).where(
                    sessions.c.id == id_, sessions.c.last_used_at <= moment - USED_EVERY
                )
                connection.execute(mine.values(last_used_at=moment))

        self._database.write(work, durable=False, idempotent=True)

    def _one(self, condition: ColumnElement[bool]) -> StoredSession | None:
        with self._database.read() as connection:
            row = connection.execute(select(sessions).where(condition)).mappings().one_or_none()
        return None if row is None else _read(row)


def end_sessions_of(connection: Connection, username: str) -> None:
    """End all sessions of somebody, in the transaction that makes them worth nothing."""
    _end(connection, sessions.c.username == username)


def _end(connection: Connection, condition: ColumnElement[bool]) -> int:
    """Remove the sessions that meet a condition; return their number."""
    next_number(connection, _COUNTER)
    return connection.execute(delete(sessions).where(condition)).rowcount


def _forget_over(connection: Connection, moment: datetime, idle: timedelta) -> int:
    """Remove the sessions that have ended by themselves; return their number."""
    over = or_(sessions.c.expires_at <= moment, sessions.c.last_used_at <= moment - idle)
    return connection.execute(delete(sessions).where(over)).rowcount


def _read(row: RowMapping) -> StoredSession:
    return StoredSession(**{name: row[name] for name in StoredSession.__slots__})

"""One-use tickets, as digests, so that a copy of the database opens nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, delete, insert, select, true

from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import tickets

_KEPT: Final = timedelta(days=1)
"""How long those are kept whose time is over: the clock may have been set forward."""


class Tickets:
    """Tickets that were not used yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        digest: str,
        username: str,
        subject: str,
        expires_at: datetime,
        identity: str,
    ) -> None:
        """Keep a ticket, and forget those that are too old.

        Args:
            digest: What is kept of the ticket itself.
            username: The user that it is given to.
            subject: What it opens.
            expires_at: Until when it can be used.
            identity: Who they are, and with which credential, as the service writes it.
        """

        def work(connection: Connection) -> None:
            _forget_old(connection)
            connection.execute(
                insert(tickets).values(
                    digest=digest,
                    username=username,
                    subject=subject,
                    expires_at=expires_at,
                    identity=identity,
                )
            )

        self._database.write(work, durable=False)  # it is worth nothing after a loss of power

    def prune(self) -> int:
        """Remove those that are too old; return how many there were."""
        return self._database.write(_forget_old, durable=False)

    def take(self, digest: str, subjects: Sequence[str], *, by_clock: bool = True) -> str | None:
        """Use a ticket up.

        Args:
            digest: What was kept of the ticket itself.
            subjects: What is to be opened; it must be one of them.
            by_clock: It is of no use any more when its time is over by the clock.

        Returns:
            Who it was given to, as :meth:`add` got it; None when there is no such ticket.
        """
        fitting = _fits(digest, subjects, by_clock=by_clock)
        statement = delete(tickets).where(*fitting).returning(tickets.c.identity)
        return self._database.write(
            lambda c: c.execute(statement).scalar_one_or_none(), durable=False
        )

    def look(self, digest: str, subjects: Sequence[str], *, by_clock: bool = True) -> str | None:
        """Return what :meth:`take` would, and leave the ticket as it is."""
        fitting = _fits(digest, subjects, by_clock=by_clock)
        statement = select(tickets.c.identity).where(*fitting)
        with self._database.read() as connection:
            return connection.execute(statement).scalar_one_or_none()


def _forget_old(connection: Connection) -> int:
    old = delete(tickets).where(tickets.c.expires_at < now() - _KEPT)
    return connection.execute(old).rowcount


def _fits(
    digest: str, subjects: Sequence[str], *, by_clock: bool
) -> tuple[ColumnElement[bool], ...]:
    return (
        tickets.c.digest == digest,
        tickets.c.subject.in_(subjects),
        tickets.c.expires_at >= now() if by_clock else true(),
    )

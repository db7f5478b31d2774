"""How the work of the whole service stands, for those who run it: bounded, whatever there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, case, func, select

from app.domain import OPEN_STATUSES, ExecutionStatus
from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import api_keys, executions, sessions, tasks

_OPEN: Final = sorted(OPEN_STATUSES)


@dataclass(frozen=True, slots=True)
class OpenWork:
    """The executions of one orchestrator that have not ended.

    Attributes:
        executions: How many there are.
        stale: Those of which there was no news for longer than there should be.
        last_news: When there was news of any of them.
        stale_since: When there was news of the one of which there was none for longest.
    """

    executions: int
    stale: int
    last_news: datetime
    stale_since: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """An execution that waits to begin.

    Attributes:
        name: Its name for people.
        since: When it was launched.
        reason: What it waits for, in words; None where nobody says.
    """

    id: str
    name: str
    workflow_name: str
    orchestrator: str
    owner: str
    since: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits to begin.

    Attributes:
        executions: How many.
        oldest: When the one was launched that waits longest; None where none waits.
        first: Some of them, those first that wait longest.
    """

    executions: int
    oldest: datetime | None
    first: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who uses the service.

    Attributes:
        sessions: Their sessions of browsers that have not ended.
        api_keys: Their API keys that were used lately.
    """

    username: str
    sessions: int
    api_keys: int
    last_used_at: datetime


class Overview:
    """Reads how it stands.

    Args:
        database: The store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_work(self, stale_after: timedelta) -> Mapping[str, OpenWork]:
        """Return what has not ended, by orchestrator.

        Args:
            stale_after: Age of a status from which it may be wrong by now.
        """
        as_of = executions.c.as_of
        late = func.sum(case((as_of < now() - stale_after, 1), else_=0))
        statement = (
            select(executions.c.orchestrator, func.count(), late, func.max(as_of), func.min(as_of))
            .where(executions.c.status.in_(_OPEN))
            .group_by(executions.c.orchestrator)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return {name: OpenWork(number, int(stale), *ages) for name, number, stale, *ages in rows}

    def driven(self) -> Mapping[str, int]:
        """Return how many executions each conductor drives, by its id."""
        column = executions.c
        statement = (
            select(column.lease_owner, func.count())
            .where(column.log_complete.is_(False), column.lease_until >= now())
            .group_by(column.lease_owner)
        )
        with self._database.read() as connection:
            return {str(id_): number for id_, number in connection.execute(statement)}

    def waiting(self) -> int:
        """Return how many executions wait to begin."""
        with self._database.read() as connection:
            return _number_waiting(connection)

    def queue(self, most: int) -> Queue:
        """Return what waits to begin.

        Args:
            most: How many are named at most.
        """
        column = executions.c
        first = (
            select(
                column.number, column.id, column.awf_name, column.workflow_name,
                column.orchestrator, column.owner, column.created_at,
            )
            .where(column.status == ExecutionStatus.PENDING)
            .order_by(column.number)
            .limit(most)
        )  # fmt: skip
        with self._database.read() as connection:
            number = _number_waiting(connection)
            found = tuple(
                Waiting(
                    row.id, row.awf_name, row.workflow_name, row.orchestrator, row.owner,
                    row.created_at, _reason(connection, row.number),
                )
                for row in connection.execute(first).all()
            )  # fmt: skip
        return Queue(number, found[0].since if found else None, found)

    def signed_in(self, idle: timedelta, lately: timedelta) -> list[SignedIn]:
        """Return who uses the service by a session or an API key, the last ones first.

        Args:
            idle: After so long without use a session ends.
            lately: How long ago an API key was used at most.
        """
        moment = now()
        by_session = (
            select(sessions.c.username, func.count(), func.max(sessions.c.last_used_at))
            .where(sessions.c.expires_at > moment, sessions.c.last_used_at > moment - idle)
            .group_by(sessions.c.username)
        )
        by_key = (
            select(api_keys.c.owner, func.count(), func.max(api_keys.c.last_used_at))
            .where(api_keys.c.revoked_at.is_(None), api_keys.c.last_used_at > moment - lately)
            .group_by(api_keys.c.owner)
        )
        with self._database.read() as connection:
            with_sessions = {n: (c, at) for n, c, at in connection.execute(by_session)}
            with_keys = {n: (c, at) for n, c, at in connection.execute(by_key)}
        found = []
        for name in with_sessions.keys() | with_keys.keys():
            held, keys = with_sessions.get(name), with_keys.get(name)
            last = max(used[1] for used in (held, keys) if used is not None)
            found.append(SignedIn(name, held[0] if held else 0, keys[0] if keys else 0, last))
        return sorted(found, key=lambda who: who.last_used_at, reverse=True)


def _number_waiting(connection: Connection) -> int:
    waiting = executions.c.status == ExecutionStatus.PENDING
    return connection.execute(select(func.count()).where(waiting)).scalar_one()


def _reason(connection: Connection, number: int) -> str | None:
    """Return what the first task of an execution waits for, in words."""
    statement = (
        select(tasks.c.waits_for)
        .where(tasks.c.execution == number, tasks.c.waits_for.is_not(None))
        .limit(1)
    )
    found = connection.execute(statement).scalar()
    reason = found.get("reason") if isinstance(found, dict) else None
    return str(reason) if reason else None

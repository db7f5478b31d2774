"""How the work of the whole service stands, for those who run it: bounded, whatever there is."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, case, func, select

from app.domain import OPEN_STATUSES, ExecutionStatus
from app.store.briefs import reasons_of
from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import LOG_GOES_ON, api_keys, executions, sessions

_OPEN: Final = sorted(OPEN_STATUSES)
_AT_ONCE: Final = 2_000
"""Executions that are counted at once, some milliseconds."""


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
class Work:
    """What is under way.

    Attributes:
        open: What has not ended, by orchestrator.
        driven: How many executions each conductor drives, by its id; of a dead one, those that no
            other one has taken over.
    """

    open: dict[str, OpenWork]
    driven: Counter[str]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An execution that waits to begin.

    Attributes:
        name: Its name for people.
        since: When it was launched.
        reason: What it waits for that is no task of its own, in words; None where nobody says.
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

    def work(self, stale_after: timedelta) -> Work:
        """Return what is under way, counted some executions at a time, others having turns between.

        Args:
            stale_after: Age of a status from which it may be wrong by now.
        """
        found, place = Work({}, Counter()), 0
        while True:
            with self._database.read() as connection:
                rows = connection.execute(_stretch(place, now() - stale_after)).all()
            for row in rows:
                _add(found, row)
                place = max(place, row.last)
            if sum(row.executions for row in rows) < _AT_ONCE:
                return found
            time.sleep(0)

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
            rows = connection.execute(first).all()
            reasons = reasons_of(connection, [row.number for row in rows])
        found = tuple(
            Waiting(
                row.id, row.awf_name, row.workflow_name, row.orchestrator, row.owner,
                row.created_at, reasons.get(row.number),
            )
            for row in rows
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


def _stretch(after: int, stale_before: datetime) -> Select[Any]:
    """Count the next executions whose log is not complete, in the order of their numbers."""
    column = executions.c
    some = (
        select(
            column.number, column.orchestrator, column.as_of,
            case((column.status.in_(_OPEN), 1), else_=0).label("is_open"),
            column.lease_owner.label("driver"),
        )
        .where(LOG_GOES_ON, column.number > after)
        .order_by(column.number)
        .limit(_AT_ONCE)
        .subquery()
    )  # fmt: skip
    of = some.c
    as_of = case((of.is_open == 1, of.as_of))
    return select(
        of.orchestrator,
        of.driver,
        func.count().label("executions"),
        func.max(of.number).label("last"),
        func.sum(of.is_open).label("open"),
        func.sum(case((as_of < stale_before, 1), else_=0)).label("stale"),
        func.max(as_of, type_=column.as_of.type).label("last_news"),
        func.min(as_of, type_=column.as_of.type).label("stale_since"),
    ).group_by(of.orchestrator, of.driver)


def _add(work: Work, row: Row[Any]) -> None:
    """Add what one group of a stretch comes to."""
    if row.driver is not None:
        work.driven[row.driver] += row.executions
    if not row.open:
        return
    open_ = OpenWork(int(row.open), int(row.stale), row.last_news, row.stale_since)
    before = work.open.get(row.orchestrator)
    if before is not None:
        open_ = OpenWork(
            before.executions + open_.executions,
            before.stale + open_.stale,
            max(before.last_news, open_.last_news),
            min(before.stale_since, open_.stale_since),
        )
    work.open[row.orchestrator] = open_


def _number_waiting(connection: Connection) -> int:
    waiting = executions.c.status == ExecutionStatus.PENDING
    return connection.execute(select(func.count()).where(waiting)).scalar_one()

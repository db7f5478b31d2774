"""What web processes counted, minute by minute, for as long as charts show it.

Each process writes one row a minute, again and again while that lasts, and removes what is old. So
the number of rows is bounded by that of processes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from app.store.database import Database
from app.store.execution_rows import now
from app.store.schema import figures

MINUTE: Final = timedelta(minutes=1)
KEPT: Final = timedelta(hours=2)
"""How long rows stay."""


@dataclass(frozen=True, slots=True)
class ProcessMinute:
    """What one web process counted in one minute.

    Attributes:
        minute: When that began.
        process: Names the process, as no other one.
        host: Its machine.
        seen_at: When it wrote this.
        ended: It has ended as it should.
        requests: Requests answered.
        failures: Those of them that failed (5xx).
        streams: Streams open at the end.
        followers: Readers that waited for a change at the end.
        delivered: Deliveries of log entries that were measured.
        delivery_lag: Seconds within which 95 of 100 of these came; None without any.
        loop_lag: Most seconds by which its event loop was late.
        queue: Executions that waited to begin, of the whole service; None where nobody knew.
    """

    minute: datetime
    process: str
    host: str
    pid: int
    seen_at: datetime
    ended: bool
    requests: int
    failures: int
    streams: int
    followers: int
    delivered: int
    delivery_lag: float | None
    loop_lag: float
    queue: int | None


@dataclass(frozen=True, slots=True)
class Minute:
    """What all web processes counted together in one minute.

    Attributes:
        delivery_lag, loop_lag: Of the slowest process.
    """

    minute: datetime
    requests: int
    failures: int
    streams: int
    delivery_lag: float | None
    loop_lag: float
    queue: int | None


def minute_of(moment: datetime) -> datetime:
    """Return the beginning of the minute of a moment."""
    return moment.replace(second=0, microsecond=0)


class Figures:
    """The rows in the store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._newest: datetime | None = None

    def put(self, rows: Collection[ProcessMinute]) -> None:
        """Write down minutes, instead of what was written of them.

        With the first row of a minute, what is old is removed.

        Raises:
            StoreUnavailable: The store does not take them.
        """
        newest = max((row.minute for row in rows), default=self._newest)

        def work(connection: Connection) -> None:
            if newest != self._newest:
                connection.execute(delete(figures).where(figures.c.minute < now() - KEPT))
            for row in rows:
                same = (figures.c.minute == row.minute) & (figures.c.process == row.process)
                connection.execute(delete(figures).where(same))
                connection.execute(insert(figures).values(**asdict(row)))

        self._database.write(work, durable=False, idempotent=True)
        self._newest = newest

    def minutes(self, since: datetime, before: datetime) -> list[Minute]:
        """Return what was counted from one minute to another, those without anything left out."""
        column = figures.c
        statement = (
            select(
                column.minute,
                func.sum(column.requests),
                func.sum(column.failures),
                func.sum(column.streams),
                func.max(column.delivery_lag),
                func.max(column.loop_lag),
                func.max(column.queue),
            )
            .where(column.minute >= since, column.minute < before)
            .group_by(column.minute)
            .order_by(column.minute)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [
            Minute(minute, int(requests), int(failures), int(streams), *others)
            for minute, requests, failures, streams, *others in rows
        ]

    def processes(self, since: datetime) -> list[ProcessMinute]:
        """Return the last minute of each process that has written since a moment, by machine."""
        statement = select(figures).where(figures.c.minute >= minute_of(since))
        with self._database.read() as connection:
            rows = connection.execute(statement.order_by(figures.c.minute)).mappings().all()
        last = {row["process"]: ProcessMinute(**row) for row in rows}
        found = [row for row in last.values() if row.seen_at >= since]
        return sorted(found, key=lambda row: (row.host, row.pid, row.process))

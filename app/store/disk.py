"""What takes up room on disks: the database itself, and what conductors measure of machines."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, func, insert, literal, select, text

from app.store.database import Database
from app.store.execution_rows import now
from app.store.journal import SIZES
from app.store.schema import disk_usage, executions
from app.store.sqlite_files import database_files
from app.trees import Size

_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What one thing takes up.

    Attributes:
        place: Name of the machine, or ``database``.
        what: Which thing.
        is_partial: It is more: not all was counted in the time there was.
        measured_at: When that was.
    """

    place: str
    what: str
    size_bytes: int
    is_partial: bool
    measured_at: datetime


class DiskUsage:
    """The measurements in the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Usage]:
        """List what was measured last."""
        with self._database.read() as connection:
            rows = connection.execute(select(disk_usage))
            return [Usage(**row) for row in rows.mappings()]

    def put(self, place: str, sizes: Mapping[str, Size]) -> None:
        """Keep what was measured of a place, instead of what was before."""
        moment = now()
        rows = [
            {
                "place": place, "what": what, "size_bytes": size.bytes_,
                "is_partial": not size.whole, "measured_at": moment,
            }
            for what, size in sizes.items()
        ]  # fmt: skip

        def work(connection: Connection) -> None:
            connection.execute(delete(disk_usage).where(disk_usage.c.place == place))
            connection.execute(insert(disk_usage), rows)

        self._database.write(work, durable=False, idempotent=True)

    def measure_database(self, seconds: float) -> dict[str, Size]:
        """Measure the database, what of it is free, and the logs in it.

        Args:
            seconds: How long the logs may be summed up, about.
        """
        return {**self._whole(), "logs": self._logs(seconds)}

    def _whole(self) -> dict[str, Size]:
        if not self._database.is_sqlite:
            size = func.pg_database_size(func.current_database())
            with self._database.read() as connection:
                return {"database": Size(int(connection.execute(select(size)).scalar_one()))}
        files = database_files(self._database.url)
        size_bytes = sum(file.stat().st_size for file in files if file.exists())
        with self._database.read() as connection:
            pages, page_bytes = (
                int(connection.execute(text(f"PRAGMA {name}")).scalar_one())
                for name in ("freelist_count", "page_size")
            )
        return {"database": Size(size_bytes), "database_free": Size(pages * page_bytes)}

    def _logs(self, seconds: float) -> Size:
        """Sum up the logs that are kept, some executions at a time."""
        deadline, found = time.monotonic() + seconds, Size()
        column = executions.c
        size = sum((column[name] for name in SIZES), literal(0))
        kept = select(func.sum(size)).where(column.log_purged_at.is_(None))
        with self._database.read() as connection:
            last = connection.execute(select(func.max(column.number))).scalar() or 0
            place = (connection.execute(select(func.min(column.number))).scalar() or 1) - 1
        while place < last:
            if time.monotonic() > deadline:
                found.whole = False
                break
            some = kept.where(column.number > place, column.number <= place + _AT_ONCE)
            with self._database.read() as connection:
                found.bytes_ += int(connection.execute(some).scalar() or 0)
            place += _AT_ONCE
        return found

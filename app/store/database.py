"""One door to SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import StaticPool

from app.concurrency import cooperative, make_pool
from app.errors import UpstreamUnreachable
from app.files import make_private_file, make_private_folder

T = TypeVar("T")

_BUSY_SECONDS = 5.0
_WRITE_SECONDS = 15.0
"""After so long a write is given up, wherever it waits: longer than a stopped writer may live."""
_ATTEMPTS = 4
_SILENT = "The store does not answer at the moment."


class Database:
    """Connections to the store.

    SQLite has one writer a process: greenlets that yielded inside a transaction would lock each
    other out, so under gevent all writes run in one real thread, and elsewhere behind one lock.

    Args:
        url: SQLAlchemy URL, ``sqlite:///FILE`` or ``postgresql+psycopg://...``.
        pool_size: Most connections of this process to PostgreSQL.
    """

    def __init__(self, url: str, pool_size: int = 20) -> None:
        self.url = url
        self.dialect = make_url(url).get_backend_name()
        self.is_sqlite = self.dialect == "sqlite"
        if self.is_sqlite:
            self._prepare_file()
            self._reader = _sqlite_engine(url)
            self._watcher: Connection | None = None
            self._writer = _sqlite_engine(url, poolclass=StaticPool)
            self._writer_pool = make_pool(1)
            self._writer_lock = _NoLock() if cooperative() else threading.RLock()
        else:
            self._writer = create_engine(
                url, pool_size=pool_size, max_overflow=0, pool_pre_ping=True, pool_timeout=30
            )
            self._reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection for statements that change nothing; each sees the latest commits.

        Raises:
            UpstreamUnreachable: The database does not answer.
        """
        try:
            with self._reader.connect() as connection:
                yield connection
        except (OperationalError, InterfaceError) as exc:
            raise _unreachable(exc) from exc

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run a function in one transaction, and again if the database asks for that.

        Args:
            work: Gets the connection; must have no effect but on it.

        Raises:
            UpstreamUnreachable: The database does not answer.
        """
        give_up_at = time.monotonic() + _WRITE_SECONDS
        if self.is_sqlite:
            return self._writer_pool.run(self._locked, work, give_up_at)
        return self._transact(work, give_up_at)

    def _locked(self, work: Callable[[Connection], T], give_up_at: float) -> T:
        left = give_up_at - time.monotonic()
        if left <= 0 or not self._writer_lock.acquire(timeout=left):
            raise UpstreamUnreachable(_SILENT, detail="too many writes wait", retry_after_seconds=2)
        try:
            return self._transact(work, give_up_at)
        finally:
            self._writer_lock.release()

    def _transact(self, work: Callable[[Connection], T], give_up_at: float) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._writer.begin() as connection:
                    return work(connection)
            except DBAPIError as exc:
                if not _worth_repeating(exc):
                    raise
                if attempt == _ATTEMPTS or time.monotonic() >= give_up_at:
                    raise _unreachable(exc) from exc
                time.sleep(0.02 * 4**attempt)
        raise AssertionError("unreachable")

    def version(self) -> int | None:
        """Give a number that is another one after each commit of any process.

        Returns:
            None where that cannot be told for less than a read (PostgreSQL).

        Source: SQLite's ``PRAGMA data_version``, on a connection that never writes.
        """
        if not self.is_sqlite:
            return None
        try:
            if self._watcher is None:
                self._watcher = self._reader.connect()
            driver = self._watcher.connection.driver_connection
            assert driver is not None  # noqa: S101  (a live connection always has one)
            version: int = driver.execute("PRAGMA data_version").fetchone()[0]
        except (OperationalError, sqlite3.OperationalError):
            return None  # whoever reads now is told why
        return version

    def engine(self) -> Engine:
        """Give the engine that writes, for migrations."""
        return self._writer

    def dispose(self) -> None:
        """Close all connections."""
        if self.is_sqlite and self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._reader.dispose()
        self._writer.dispose()

    def _prepare_file(self) -> None:
        path = make_url(self.url).database
        if path and path != ":memory:":
            make_private_folder(Path(path).parent)
            make_private_file(Path(path))  # SQLite gives its log beside it the same mode


class _NoLock:
    """Where one thread alone writes."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return True

    def release(self) -> None: ...


def _sqlite_engine(url: str, **kwargs: Any) -> Engine:
    engine = create_engine(
        url, connect_args={"check_same_thread": False, "timeout": _BUSY_SECONDS}, **kwargs
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA cache_size=-16000")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # A transaction that starts as a reader cannot always become a writer.
        if kwargs:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _worth_repeating(exc: DBAPIError) -> bool:
    """Tell a lost connection, a lock and a serialisation failure from a fault of ours."""
    if exc.connection_invalidated or isinstance(exc, OperationalError | InterfaceError):
        return True
    return getattr(exc.orig, "sqlstate", None) in {"40001", "40P01"}


def _unreachable(exc: DBAPIError) -> UpstreamUnreachable:
    return UpstreamUnreachable(_SILENT, detail=str(exc), retry_after_seconds=2)

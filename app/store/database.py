"""One door to SQLite and PostgreSQL."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar

import structlog
from sqlalchemy import Connection, Engine, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.backoff import Backoff
from app.errors import ConfigError, StoreUnavailable
from app.files import make_private_file, make_private_folder, sync_folder
from app.store import _sqlite, faults
from app.store._deadline import bounded
from app.store.recognition import check_file
from app.store.sqlite_files import database_file

if TYPE_CHECKING:
    from app.store._postgresql import BoundedConnection

T = TypeVar("T")

_ATTEMPTS = 3
_REPEAT = Backoff(first=0.05, longest=0.1)
"""When a transaction is repeated that another one, or a lost connection, made fail."""
_RETRY_SECONDS = 2.0
"""When a caller may come back whom the store did not serve."""
_PROBE_SECONDS = 2.0
"""How often it is tried at most whether the store can be written to."""
_PROBE_BYTES = 64 * 1024

_MAY_PASS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
)
"""Why a file cannot be made for now; any other reason needs somebody to change something."""

log = structlog.get_logger(__name__)


class Database:
    """Connections to the store.

    Args:
        url: SQLAlchemy URL, ``sqlite:///FILE`` or ``postgresql+psycopg://...``.
        pool_size: Most connections of this process to PostgreSQL.
        timeout_seconds: Longest wait for a connection, a lock or an answer; None for no limit but
            that of a connection.

    Raises:
        ConfigError: The file of an SQLite database is none, or cannot be opened or made.
        StoreUnavailable: It cannot be made for now.
    """

    def __init__(self, url: str, pool_size: int = 20, timeout_seconds: float | None = None) -> None:
        self.url = url
        self.timeout_seconds = timeout_seconds
        self.dialect = make_url(url).get_backend_name()
        self.is_sqlite = self.dialect == "sqlite"
        self._probe_lock = threading.Lock()
        self._probe_again_at = 0.0
        self._probe_failure: StoreUnavailable | None = None
        self._troubles: dict[str, set[str]] = {"read": set(), "write": set()}
        if self.is_sqlite:
            self._prepare_file()
            self._reader = _sqlite.make_reader(url)
            self._sqlite_writer = _sqlite.Writer(url, timeout_seconds)
            self._writer = self._sqlite_writer.engine
        else:
            from app.store import _postgresql  # noqa: PLC0415  (SQLite needs no driver)

            self._writer = _postgresql.make_engine(make_url(url), pool_size, timeout_seconds)
            self._reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Return a connection for statements that change nothing; each sees the latest commits.

        Raises:
            StoreUnavailable: The database cannot be used; the message says why.
        """
        try:
            with (
                bounded(self.timeout_seconds),
                self._reader.connect() as connection,
                # PostgreSQL's driver has read all of an answer before anybody looks at it.
                _sqlite.unspoiled(connection) if self.is_sqlite else nullcontext(),
            ):
                yield connection
        except SQLAlchemyError as exc:
            raise self._explained(exc, "read") from exc
        self._is_well("read")

    def write(
        self, work: Callable[[Connection], T], *, durable: bool = True, idempotent: bool = False
    ) -> T:
        """Run a function in one transaction, and again if the database asks for that.

        Args:
            work: Gets the connection; must have no effect but on it.
            durable: What was promised to somebody, so that on return the disk has it. Otherwise a
                loss of power may take the last of it back, where the store is SQLite; whatever is
                made durable later has all that was written before made durable, too.
            idempotent: Twice is as good as once, so that it is repeated, too, when nobody knows
                whether it was committed.

        Raises:
            StoreUnavailable: The database cannot be used, and the message says why; or nobody
                knows whether it was committed.
        """
        try:
            if self.is_sqlite:
                result = self._sqlite_writer.write(work, durable=durable)
            else:
                result = self._transact(work, idempotent=idempotent)
        except SQLAlchemyError as exc:
            raise self._explained(exc, "write") from exc
        except TimeoutError as exc:
            raise self._unavailable(faults.BUSY, exc, "write") from exc
        self._is_well("read", "write")
        return result

    def probe(self) -> None:
        """Try to store as much as a launch does, and roll it back.

        Less could still fit where the disk is full. It is tried every few seconds at most.

        Raises:
            StoreUnavailable: It does not.
        """
        with self._probe_lock:
            if time.monotonic() >= self._probe_again_at:
                try:
                    self.write(_put_probe, durable=False, idempotent=True)
                    self.write(_remove_probe, durable=False, idempotent=True)
                    self._probe_failure = None
                except StoreUnavailable as exc:
                    self._probe_failure = exc
                self._probe_again_at = time.monotonic() + _PROBE_SECONDS
            if self._probe_failure is not None:
                raise self._probe_failure.again()

    @property
    def troubled(self) -> bool:
        """Whether the last attempt to read, or to write, failed."""
        return any(self._troubles.values())

    def _transact(self, work: Callable[[Connection], T], *, idempotent: bool) -> T:
        with bounded(self.timeout_seconds):
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return self._commit(work)
                except _InDoubt as exc:
                    if not idempotent or attempt == _ATTEMPTS or faults.is_silence(exc.cause):
                        raise self._doubt(exc.cause) from exc
                except DBAPIError as exc:
                    if attempt == _ATTEMPTS or not faults.is_worth_repeating(exc):
                        raise
                time.sleep(_REPEAT.pause(attempt))
        raise AssertionError("unreachable")

    def _commit(self, work: Callable[[Connection], T]) -> T:
        done = False
        try:
            with self._writer.connect() as connection, connection.begin() as transaction:
                result = work(connection)
                done = True
                transaction.commit()
        except DBAPIError as exc:
            if done and exc.connection_invalidated:
                raise _InDoubt(exc) from exc
            raise
        return result

    def _explained(self, exc: Exception, attempt: str) -> Exception:
        """Return what to raise for a driver's error: the error itself where the fault is ours."""
        meaning = faults.meaning(exc)
        return exc if meaning is None else self._unavailable(meaning, exc, attempt)

    def _doubt(self, exc: DBAPIError) -> StoreUnavailable:
        self._explained(exc, "write")
        sentence = (
            "The store went away while it was asked to keep this; nobody knows whether it did. "
            "Look before you repeat it."
        )
        return StoreUnavailable(sentence, detail=_words(exc), retry_after_seconds=_RETRY_SECONDS)

    def _unavailable(self, meaning: str, exc: Exception, attempt: str) -> StoreUnavailable:
        """Log what is wrong with the database, once until it works again."""
        known = self._troubles[attempt]
        if meaning not in known:
            known.add(meaning)
            log.error("store unavailable", attempt=attempt, problem=meaning, detail=_words(exc))
        sentence = f"The store does not answer at the moment: {meaning}."
        return StoreUnavailable(sentence, detail=_words(exc), retry_after_seconds=_RETRY_SECONDS)

    def _is_well(self, *attempts: str) -> None:
        for attempt in attempts:
            if self._troubles[attempt]:
                self._troubles[attempt].clear()
                log.info("store available again", attempt=attempt)

    def renew(self) -> None:
        """Close the idle connections to PostgreSQL; what is asked next goes over new ones."""
        if not self.is_sqlite:
            self._writer.dispose()

    def connect(self) -> BoundedConnection:
        """Open a connection to PostgreSQL that is in no pool.

        Raises:
            StoreUnavailable: It cannot be opened.
        """
        import psycopg  # noqa: PLC0415

        from app.store import _postgresql  # noqa: PLC0415

        try:
            return _postgresql.connect(self._writer)
        except psycopg.Error as exc:
            raise self._explained(exc, "read") from exc

    def watch(self) -> Connection:
        """Open a connection to SQLite that stays open, for statements that change nothing.

        Raises:
            StoreUnavailable: It cannot be opened.
        """
        try:
            return self._reader.connect()
        except SQLAlchemyError as exc:
            raise self._explained(exc, "read") from exc

    def engine(self) -> Engine:
        """Return the engine that writes, for migrations."""
        return self._writer

    def dispose(self) -> None:
        """Close all connections."""
        if self.is_sqlite:
            self._sqlite_writer.close()
        self._reader.dispose()
        self._writer.dispose()

    def _prepare_file(self) -> None:
        path = database_file(self.url)
        if path is None:
            return
        check_file(self.url)
        try:
            for holder in make_private_folder(path.parent):
                sync_folder(holder)  # SQLite syncs its files' own folder only
            make_private_file(path)  # SQLite gives its log beside it the same mode
        except OSError as exc:
            if exc.errno in _MAY_PASS:
                raise self._unavailable(_words(exc), exc, "write") from exc
            raise ConfigError(f"The database {path} cannot be made: {exc.strerror}.") from exc


class _InDoubt(Exception):
    """The connection was lost during a commit."""

    def __init__(self, cause: DBAPIError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _put_probe(connection: Connection) -> None:
    statement = text(
        "INSERT INTO definitions (digest, document) VALUES ('probe', :document)"
        " ON CONFLICT (digest) DO UPDATE SET document = excluded.document"
    )
    connection.execute(statement, {"document": f'"{"x" * _PROBE_BYTES}"'})


def _remove_probe(connection: Connection) -> None:
    connection.execute(text("DELETE FROM definitions WHERE digest = 'probe'"))


def _words(exc: Exception) -> str:
    """Return the driver's own words, without the values that a statement was run with."""
    return str(exc.orig if isinstance(exc, DBAPIError) else exc)

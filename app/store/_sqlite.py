"""SQLite's connections, and the one writer of a process.

Transactions that wait for each other are committed together: one wait for the disk then serves them
all, as PostgreSQL does by itself.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import StaticPool

from app.concurrency import cooperative, make_pool, original
from app.errors import SlipwayError
from app.memory import STORE_PAGES_KIB
from app.store import _commits

T = TypeVar("T")

_BUSY_SECONDS = 10.0
"""Longest wait for a turn to write, where no other one is chosen."""
_READ_BUSY_SECONDS = 2.0
"""Only the repair after a crash keeps readers out, and under gevent the whole process waits."""
_MOST_TOGETHER = 64
_BEGIN = "BEGIN IMMEDIATE"
_PATIENCE = "patience_seconds"
_LAST_CHANCE_SECONDS = 0.05
"""How long the lock is asked for by whoever has waited long for their turn."""
_ASK_SECONDS = 0.00025
"""How often the lock of another process is asked for: a good part of how long one is held."""
_LONG_SECONDS = 0.005
"""A transaction longer than this is followed by a pause, in which another process gets the lock."""
_TURN_SECONDS = 0.01
"""How long one process goes on with what waits, before it commits and lets others have the lock."""
_PAUSE_SECONDS = 2 * _ASK_SECONDS
"""Long enough that whoever waits asks once meanwhile: SQLite's lock has no queue."""
_sleep = original("time", "sleep")  # writers are real threads under gevent, too


def make_reader(url: str) -> Engine:
    """Make an engine for statements that change nothing."""
    return _engine(url, _READ_BUSY_SECONDS)


@contextmanager
def unspoiled(connection: Connection) -> Iterator[Connection]:
    """Use a connection, which nobody else is given after whatever nobody foresaw.

    A statement that was broken off keeps what it saw of the database, and what it holds of it, for
    all that come after it on its connection: until nothing refers to it any more, such as the
    traceback of what broke it off.
    """
    try:
        yield connection
    except BaseException as exc:
        if _spoils(exc):
            connection.invalidate()
        raise


def _spoils(exc: BaseException) -> bool:
    """Return whether a statement may be left open; answers are made of those that have ended."""
    return not isinstance(exc, SlipwayError | IntegrityError)


def _engine(url: str, busy_seconds: float, **kwargs: Any) -> Engine:
    engine = create_engine(
        url, connect_args={"check_same_thread": False, "timeout": busy_seconds}, **kwargs
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")  # readers go on while one writes
        cursor.execute(f"PRAGMA cache_size=-{STORE_PAGES_KIB}")  # negative: KiB and not pages
        cursor.close()

    return engine


@dataclass(eq=False, slots=True)
class _Job(Generic[T]):
    """A transaction that somebody waits for."""

    work: Callable[[Connection], T]
    durable: bool
    deadline: float
    done: bool = False
    result: T | None = None
    error: Exception | None = None

    def fail(self, error: Exception) -> None:
        self.done, self.error = True, error

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return cast(T, self.result)


class Writer:
    """Runs transactions one after the other.

    SQLite has one writer a process: greenlets that yielded inside a transaction would lock each
    other out, so under gevent all writes run in one real thread, and elsewhere behind one lock.

    Args:
        url: SQLAlchemy URL of the database.
        timeout_seconds: Longest wait for the lock of another process; None for a default.
    """

    def __init__(self, url: str, timeout_seconds: float | None) -> None:
        self._timeout_seconds = timeout_seconds or _BUSY_SECONDS
        self.engine = _engine(url, self._timeout_seconds, poolclass=StaticPool)
        event.listen(self.engine, "connect", _ask_once)
        event.listen(self.engine, "begin", _begin)
        self._pool = make_pool(1)
        self._turn = None if cooperative() else threading.Condition()
        self._busy = False
        self._waiting: deque[_Job[Any]] = deque()
        self._commit_seconds = 0.0
        self._rest_until = 0.0
        self._log = _commits.log_of(url)
        self._connection: Connection | None = None
        self._waits_for_disk: bool | None = None

    def close(self) -> None:
        """Close the connection; the next transaction opens another one.

        Whoever uses it now is waited for: SQLite's library ends the process that takes it away.
        """
        if self._turn is None:
            self._close()
            return
        with self._turn:
            self._turn.wait_for(lambda: not self._busy, self._timeout_seconds)
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self.engine.dispose()

    def write(self, work: Callable[[Connection], T], *, durable: bool) -> T:
        """Run a function in a transaction.

        Args:
            work: Gets the connection; it may be run again, so it must have no effect but on it.
            durable: On return the disk has it; otherwise a loss of power may take it back.

        Raises:
            TimeoutError: Its turn did not come in time.
        """
        # Every caller puts its job in the queue; whoever gets the turn runs what it finds there,
        # other callers' jobs too, and a caller whose job was run by another just returns.
        job = _Job(work, durable, time.monotonic() + self._timeout_seconds)
        self._waiting.append(job)
        self._pool.run(self._serve, job)
        return job.outcome()

    def _serve(self, mine: _Job[Any]) -> None:
        """Run what waits, until a job of the caller's is done; others may run it meanwhile."""
        if self._turn is None:
            self._serve_alone(mine)
        elif self._await_turn(mine, self._turn):
            try:
                self._serve_alone(mine)
            finally:
                with self._turn:
                    self._busy = False
                    self._turn.notify_all()

    def _await_turn(self, mine: _Job[Any], turn: threading.Condition) -> bool:
        """Wait until the caller may run what waits; False when its own job is done before."""
        with turn:
            while self._busy and not mine.done:
                left = mine.deadline - time.monotonic()
                if left > 0 or not self._take_back(mine):
                    turn.wait(left if left > 0 else None)
            # Under the lock under which it was looked at: of all who wake up, one gets the turn.
            self._busy |= not mine.done
            return not mine.done

    def _take_back(self, job: _Job[Any]) -> bool:
        """Refuse a job whose time is over; one that is being run cannot be taken back."""
        try:
            self._waiting.remove(job)
        except ValueError:
            return False
        job.fail(TimeoutError())  # it is in no queue any more, so nobody runs it after all
        return True

    def _serve_alone(self, mine: _Job[Any]) -> None:
        while not mine.done:
            jobs = self._take()
            try:
                self._run(jobs)
            finally:
                for job in jobs:
                    if not job.done:  # nobody else would ever run it
                        job.fail(RuntimeError("the transaction was broken off"))
                if self._turn is not None:
                    with self._turn:
                        self._turn.notify_all()

    def _take(self, most: int = _MOST_TOGETHER, *, durable: bool = True) -> list[_Job[Any]]:
        """Take what waits; only up to the first durable one where the commit will not be."""
        jobs: list[_Job[Any]] = []
        moment = time.monotonic()
        while self._waiting and len(jobs) < most and (durable or not self._waiting[0].durable):
            job = self._waiting.popleft()
            if job.deadline < moment:
                job.fail(TimeoutError())
            else:
                jobs.append(job)
        return jobs

    def _run(self, jobs: list[_Job[Any]]) -> None:
        if not jobs:
            return
        try:
            self._transact(jobs, alone=False)
        except Exception as exc:
            if len(jobs) == 1 or _never_began(exc):
                for job in jobs:
                    job.fail(exc)  # whoever waits for it raises it
            elif not isinstance(exc, DBAPIError):
                raise
        # A failure of the whole transaction took back the others' work as well. Alone, each one
        # succeeds or gets an error of its own.
        for job in jobs:
            if not job.done:
                try:
                    self._transact([job], alone=True)
                except Exception as exc:  # noqa: BLE001  (whoever waits for it raises it)
                    job.fail(exc)

    def _transact(self, jobs: list[_Job[Any]], *, alone: bool) -> None:
        """Run jobs in one transaction.

        Args:
            jobs: Changed to those that were run: what came while the lock was held by others joins
                them, and what would take too long waits on.
            alone: Nothing may join.
        """
        if (rest := self._rest_until - time.monotonic()) > 0.0:
            _sleep(min(rest, _PAUSE_SECONDS))  # nobody waits longer, whatever becomes of the clock
        patience = min(job.deadline for job in jobs) - time.monotonic()
        durable = any(job.durable for job in jobs)
        with self._connected() as connection:
            # Before BEGIN: within a transaction SQLite does not change how it waits for the disk.
            self._prepare(connection, durable, patience)
            with connection.begin() as transaction:
                began = time.monotonic()
                if not alone:
                    # BEGIN may have waited long. What came meanwhile joins, but nothing that must
                    # be on the disk: how this commit waits was set before BEGIN.
                    jobs += self._take(_MOST_TOGETHER - len(jobs), durable=durable)
                if len(jobs) == 1:
                    jobs[0].error, jobs[0].result = None, jobs[0].work(connection)
                else:
                    self._attempt_in_time(connection, jobs, began)
                asked = time.monotonic()
                transaction.commit()
                ended = time.monotonic()
                self._commit_seconds = ended - asked
            if any(job.error is not None and _spoils(job.error) for job in jobs):
                connection.invalidate()
        _commits.tell(self._log)
        for job in jobs:
            job.done = True
        if ended - began > _LONG_SECONDS:
            # A process that waits for the lock asks for it meanwhile. Only what comes next waits.
            self._rest_until = ended + _PAUSE_SECONDS

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Give the connection, which stays open: to get it from a pool takes as long as to commit.

        After whatever went wrong there is another one.
        """
        connection = self._connection
        if connection is None:
            connection, self._waits_for_disk = self.engine.connect(), None
        self._connection = None
        try:
            with unspoiled(connection):
                yield connection
        except BaseException:
            connection.close()
            raise
        if connection.invalidated:
            connection.close()
        else:
            self._connection = connection

    def _prepare(self, connection: Connection, durable: bool, patience_seconds: float) -> None:
        """Set whether the next commit waits for the disk, and how long to wait for the lock.

        The log that SQLite writes ahead is one file: a commit that waits has the disk take all that
        was committed before, by whatever process (``PRAGMA synchronous``).
        """
        driver = connection.connection.driver_connection
        assert driver is not None  # noqa: S101  (a live connection always has one)
        if durable is not self._waits_for_disk:
            driver.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._waits_for_disk = durable
        connection.info[_PATIENCE] = max(_LAST_CHANCE_SECONDS, patience_seconds)

    def _attempt_in_time(self, connection: Connection, jobs: list[_Job[Any]], began: float) -> None:
        """Run jobs for one turn, longer where a commit is dear; put the others back in front."""
        until = began + max(_TURN_SECONDS, self._commit_seconds)
        for number, job in enumerate(jobs):
            # The first is run in any case, or jobs that take longer than a turn would never be.
            if number and time.monotonic() > until:
                self._waiting.extendleft(reversed(jobs[number:]))
                del jobs[number:]
                return
            _attempt(connection, job)


def _attempt(connection: Connection, job: _Job[Any]) -> None:
    """Run one of several; its own failure takes back nothing of the others'."""
    job.result, job.error = None, None
    # Said to the driver: SQLAlchemy's own savepoints take as long as a statement with many columns.
    connection.exec_driver_sql("SAVEPOINT job")
    try:
        job.result = job.work(connection)
    except DBAPIError as exc:
        if not isinstance(exc, IntegrityError):
            raise  # such as a full disk, after which the whole transaction is gone
        job.error = exc
    except Exception as exc:  # noqa: BLE001  (whoever waits for it raises it)
        job.error = exc
    if job.error is not None:
        connection.exec_driver_sql("ROLLBACK TO job")
    connection.exec_driver_sql("RELEASE job")


def _ask_once(connection: Any, _record: Any) -> None:
    """Have SQLite not wait for the lock, for which :func:`_begin` waits."""
    connection.execute("PRAGMA busy_timeout=0")


def _begin(connection: Connection) -> None:
    """Begin as a writer, since one that begins as a reader cannot always become one.

    The lock of another process is asked for again and again: SQLite itself sleeps for up to 100 ms
    at a time, while others come and go.
    """
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101  (a live connection always has one)
    deadline = time.monotonic() + connection.info.get(_PATIENCE, _BUSY_SECONDS)
    while time.monotonic() < deadline:
        try:
            driver.execute(_BEGIN)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                break
            _sleep(_ASK_SECONDS)
        else:
            return
    connection.exec_driver_sql(_BEGIN)  # it raises what SQLAlchemy makes of it


def _never_began(exc: Exception) -> bool:
    return isinstance(exc, DBAPIError) and exc.statement == _BEGIN

"""How a process learns that an execution changed, and wakes who waits for it.

SQLite tells by ``PRAGMA data_version`` that another connection committed; PostgreSQL notifies.
Nothing here asks the database anything while nothing happens, whatever the number of waiters.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Literal

import structlog
from sqlalchemy import Connection, select

from app.store._postgresql import bounded
from app.store.database import Database
from app.store.schema import counters, executions

Kind = Literal["changed", "wanted"]
"""``changed``: what readers see; ``wanted``: what the conductor must act on."""

_LOOK_SECONDS = 0.01
_SILENCE_SECONDS = 2.0
_CHECK_SECONDS = 3.0
_RETRY_SECONDS = 1.0
_BLOCK = 64

log = structlog.get_logger(__name__)


class ChangeFeed(ABC):
    """Tells the ids of executions that were changed by any process.

    Args:
        database: The store.
        kind: Which changes to tell.
        publish: Called from a thread of the feed's own. It gets None when changes may have been
            missed, so that everybody must look.
    """

    def __init__(
        self, database: Database, kind: Kind, publish: Callable[[Collection[str] | None], None]
    ) -> None:
        self._database = database
        self._kind = kind
        self._publish = publish
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{kind}-feed", daemon=True)

    def start(self) -> None:
        """Begin to listen; on return no later change is missed."""
        self._open()
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen()
            except Exception as exc:  # noqa: BLE001  (a feed that dies would freeze every reader)
                log.warning("change feed interrupted", kind=self._kind, error=str(exc))
                self._reopen()

    def _reopen(self) -> None:
        """Open again, as often as it takes; then everybody must look."""
        told: set[str] = set()
        # What cut this connection off may have cut off those that wait in the pool, too.
        self._database.renew()
        while not self._closed.wait(_RETRY_SECONDS):
            try:
                self._open()
            except Exception as exc:  # noqa: BLE001  (the next round may succeed)
                if str(exc) not in told:
                    told.add(str(exc))
                    log.warning("change feed cannot be opened", kind=self._kind, error=str(exc))
            else:
                log.info("change feed opened again", kind=self._kind)
                self._publish(None)
                return

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _listen(self) -> None: ...


class SqliteFeed(ChangeFeed):
    """Watches SQLite's data version, which grows when any other connection commits."""

    def _open(self) -> None:
        self._version = -1
        with self._database.read() as connection:
            self._last = self._counted(connection)

    def _listen(self) -> None:
        with self._database.read() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None  # noqa: S101  (a live connection always has one)
            look = driver.cursor()
            while not self._closed.is_set():
                version = look.execute("PRAGMA data_version").fetchone()[0]
                if version != self._version:
                    self._version = version
                    self._tell(connection)
                time.sleep(_LOOK_SECONDS)

    def _tell(self, connection: Connection) -> None:
        """Publish the executions whose number went beyond the last one that was told."""
        number = executions.c[self._kind]
        counted = self._counted(connection)
        if counted < self._last:
            # An older database was put in the place of this one, under the running service.
            self._last = counted
            self._publish(None)
            return
        if counted == self._last:
            return
        changes = select(executions.c.id, number).where(number > self._last).order_by(number)
        rows = connection.execute(changes).all()
        # Rows may be gone, or have gone further since the counter was read.
        self._last = max([counted, *(row[1] for row in rows[-1:])])
        if rows:
            self._publish([row[0] for row in rows])

    def _counted(self, connection: Connection) -> int:
        statement = select(counters.c.value).where(counters.c.name == self._kind)
        counted: int = connection.execute(statement).scalar_one()
        return counted


class PostgresFeed(ChangeFeed):
    """Listens to PostgreSQL's notifications, whose payload is an execution's id.

    A connection that died silently, or whose server was demoted, tells nothing for ever. So one
    that was silent for a while is asked whether it still stands where changes are made.
    """

    def _open(self) -> None:
        self._connection = self._database.connect()
        try:
            self._check()
            self._connection.execute(f"LISTEN slipway_{self._kind}")
        except BaseException:
            self._connection.close()
            raise

    def _listen(self) -> None:
        with self._connection:
            while not self._closed.is_set():
                # All that came in one packet; the generator holds the connection until its end.
                notes = self._connection.notifies(timeout=_SILENCE_SECONDS, stop_after=1)
                ids = {note.payload for note in notes}
                if ids:
                    self._publish(ids)
                else:
                    self._check()

    def _check(self) -> None:
        with bounded(_CHECK_SECONDS):
            row = self._connection.execute("SHOW transaction_read_only").fetchone()
        if row != ("off",):
            raise ConnectionError("the server is read-only, such as a standby")


def open_feed(
    database: Database, kind: Kind, publish: Callable[[Collection[str] | None], None]
) -> ChangeFeed:
    """Start the feed of a database's kind."""
    feed = (SqliteFeed if database.is_sqlite else PostgresFeed)(database, kind, publish)
    feed.start()
    return feed


class _Block:
    """Readers that are woken together."""

    __slots__ = ("event", "waiting")

    def __init__(self) -> None:
        self.event = threading.Event()
        self.waiting = 0


class _Topic:
    """Those who wait for one execution, in blocks."""

    __slots__ = ("blocks", "readers", "version")
    versions = count(1)

    def __init__(self) -> None:
        self.version = next(self.versions)
        self.readers = 0
        self.blocks: dict[_Block, None] = {}

    def join(self) -> _Block:
        block = next(reversed(self.blocks), None)
        if block is None or block.waiting >= _BLOCK:
            block = _Block()
            self.blocks[block] = None
        block.waiting += 1
        return block

    def leave(self, block: _Block) -> None:
        """Give a place back: of those who come and go while nothing happens, nothing stays."""
        block.waiting -= 1
        if not block.waiting:
            self.blocks.pop(block, None)

    def take(self) -> list[threading.Event]:
        blocks, self.blocks = self.blocks, {}
        self.version = next(self.versions)
        return [block.event for block in blocks]


class Subscription:
    """One reader's place in the line for one execution.

    Attributes:
        seen: Version of the execution that the reader has seen. Whatever is read from the store
            after the subscription, or after :meth:`wait`, is at least as new; versions are never
            used twice by a process.
    """

    __slots__ = ("_changes", "_topic", "seen")

    def __init__(self, changes: Changes, topic: _Topic) -> None:
        self._changes = changes
        self._topic = topic
        self.seen = topic.version

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until the execution changed since the last call, or since the subscription.

        Returns:
            False when the time is over or the process is about to stop.
        """
        changed, self.seen = self._changes.wait(self._topic, self.seen, timeout_seconds)
        return changed


class Changes:
    """Wakes the readers of this process.

    Ten thousand waiters of one event would all run in one turn of the event loop, and nothing else
    would. So they wait in blocks of 64, and a dispatcher lets the loop breathe between blocks.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._topics: dict[str, _Topic] = {}
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()
        self._work = threading.Event()
        self._feed: ChangeFeed | None = None
        self._observers: list[Callable[[Collection[str] | None], None]] = []
        self.closing = False

    def start(self) -> None:
        """Begin to follow the store."""
        self._feed = open_feed(self._database, "changed", self._changed)
        threading.Thread(target=self._dispatch, name="wake-ups", daemon=True).start()

    def close(self) -> None:
        """Wake everybody for the last time; from now on nobody waits."""
        self.closing = True
        if self._feed is not None:
            self._feed.close()
        self.publish(None)
        self._work.set()

    def observe(self, observer: Callable[[Collection[str] | None], None]) -> None:
        """Call a function for each batch of changes, before the readers are woken.

        Args:
            observer: Gets the ids of the executions; None when some may have been missed.
        """
        self._observers.append(observer)

    def _changed(self, ids: Collection[str] | None) -> None:
        for observer in self._observers:
            observer(ids)
        self.publish(ids)

    def watched(self, topic: str) -> bool:
        """Tell whether any reader of this process is subscribed."""
        return topic in self._topics

    @property
    def waiting(self) -> int:
        """Number of readers subscribed now."""
        return sum(topic.readers for topic in list(self._topics.values()))

    @contextmanager
    def subscribe(self, execution_id: str) -> Iterator[Subscription]:
        """Stand in line; subscribe first, then read, then wait, and no change is missed."""
        with self._lock:
            topic = self._topics.setdefault(execution_id, _Topic())
            topic.readers += 1
        try:
            yield Subscription(self, topic)
        finally:
            with self._lock:
                topic.readers -= 1
                if not topic.readers:
                    self._topics.pop(execution_id, None)

    def publish(self, ids: Collection[str] | None) -> None:
        """Wake the readers of some executions, or of all."""
        with self._lock:
            topics = (
                list(self._topics.values())
                if ids is None
                else [self._topics[id_] for id_ in ids if id_ in self._topics]
            )
            for topic in topics:
                self._queue.extend(topic.take())
        if self._queue:
            self._work.set()

    def wait(self, topic: _Topic, seen: int, timeout_seconds: float) -> tuple[bool, int]:
        """Wait for a version of a topic beyond the one that was seen."""
        with self._lock:
            if self.closing or topic.version != seen:
                return not self.closing, topic.version
            block = topic.join()
        try:
            block.event.wait(timeout_seconds)
        finally:
            with self._lock:
                topic.leave(block)
        return topic.version != seen and not self.closing, topic.version

    def _dispatch(self) -> None:
        while not self.closing or self._queue:
            self._work.wait()
            self._work.clear()
            while self._queue:
                self._queue.popleft().set()
                # Not 0: the hub drains many callbacks before it looks at sockets again.
                time.sleep(0.001)

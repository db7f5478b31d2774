"""How a process learns that an execution or an operation changed, and wakes who waits for it.

SQLite tells by ``PRAGMA data_version`` that another connection committed, and the kernel when to
ask for it (``_commits.py``); PostgreSQL notifies.
Nothing here asks the database anything while nothing happens, whatever the number of waiters.
"""

from __future__ import annotations

import os
import select as select_
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, get_args

import structlog
from sqlalchemy import BigInteger, CompoundSelect, Connection, Select, bindparam, select, union_all

from app.store._commits import CommitWatch, log_of
from app.store._deadline import bounded
from app.store.database import Database
from app.store.schema import counters, executions, operations, tombstones

if TYPE_CHECKING:
    from app.store._postgresql import BoundedConnection

Kind = Literal["changed", "wanted", "touched", "assigned"]
"""``changed``: what readers wait for; ``wanted``: what the conductor must act on; ``touched``: what
readers see and nobody waits for, such as the moment at which a status was last true; ``assigned``:
what whoever holds connections of slaves must tell them."""

_KINDS: tuple[Kind, ...] = get_args(Kind)

Publish = Callable[[Collection[str] | None], None]

_SILENCE_SECONDS = 2.0
"""After how long a silence PostgreSQL is asked whether the connection still stands."""
_CHECK_SECONDS = 3.0
"""How long its answer may take; then the connection counts as lost."""
_RETRY_SECONDS = 1.0
"""How often a feed that was interrupted is tried to be opened again."""
_BLOCK = 64
"""Most readers that are woken before the loop breathes."""
_MOST_STAMPS = 100_000
"""Beyond these all stamps are renewed at once, which costs a read of each execution."""

ANYTHING = ""
"""Topic whose stamp is another one once anything of any execution has changed."""

log = structlog.get_logger(__name__)


class ChangeFeed(ABC):
    """Publishes the ids of executions, and of operations, that were changed by any process.

    Args:
        database: The store.
        kind: Which changes to tell.
        publish: Gets the ids; None when changes may have been missed, so that everybody must look.
            One call comes after the other, from a thread of the feed's own or from one that calls
            :meth:`prove`.
        refresh: Gets the ids of executions of which something else was changed, that nobody waits
            for; None when that may be any. Without it that is not looked for.
    """

    def __init__(
        self, database: Database, kind: Kind, publish: Publish, refresh: Publish | None = None
    ) -> None:
        self._database = database
        self._kind = kind
        self._publish = publish
        self._refresh = refresh
        self._lock = threading.Lock()
        self._sound = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{kind}-feed", daemon=True)

    def start(self) -> None:
        """Begin to listen; on return no later change is missed."""
        self._open()
        self._sound = True
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._sound = False
        self._closed.set()

    def prove(self) -> bool:
        """Make sure that all changes are published of whose commit a writer knew before.

        Returns:
            False when that cannot be said: the feed has lost its connection, or is closed.
        """
        if not self._sound:
            return False
        try:
            self._catch_up()
        except Exception:  # noqa: BLE001  (the feed opens again; until then each reads alone)
            return False
        return self._sound

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen()
            except Exception as exc:  # noqa: BLE001  (a feed that dies would freeze every reader)
                self._sound = False
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
                with self._lock:
                    self._publish(None)
                self._sound = True  # not before: what was missed has to be told first
                return

    @abstractmethod
    def _open(self) -> None:
        """Connect; no change that is committed from now on is missed."""

    @abstractmethod
    def _listen(self) -> None:
        """Publish changes until the feed is closed."""

    @abstractmethod
    def _catch_up(self) -> object:
        """Publish all changes committed before the call, in the caller's thread."""


class SqliteFeed(ChangeFeed):
    """Watches SQLite's data version, which grows when any other connection commits."""

    def _open(self) -> None:
        connection = self._database.watch()
        driver = connection.connection.driver_connection
        assert driver is not None  # noqa: S101  (a live connection always has one)
        # By the driver alone: each process asks this after every commit of another one, and
        # SQLAlchemy takes longer to ask than SQLite to answer.
        self._execute = driver.execute
        self._counters = _text(connection, select(counters.c.name, counters.c.value))
        self._beyond_last = {kind: _text(connection, _beyond(kind)) for kind in _KINDS}
        self._version = -1  # it is none, so the first look tells what came while this was opened
        self._last = self._counted()
        self._connection = connection
        self._fault: Exception | None = None

    def _listen(self) -> None:
        with self._connection, CommitWatch(log_of(self._database.url)) as watch:
            heard = True  # what came before the log was watched
            while not self._closed.is_set():
                if self._catch_up() and not heard:
                    watch.missed()
                heard = watch.wait()

    def _catch_up(self) -> bool:
        """Publish what was committed; return whether that was anything."""
        with self._lock:
            if self._fault is not None:
                raise self._fault
            try:
                # Before the rows: what is committed in between is told now, and looked for again.
                version = self._execute("PRAGMA data_version").fetchone()[0]
                if version == self._version:
                    return False
                self._tell()
                self._version = version
            except BaseException as exc:
                # Something may be left untold, so the feed has to open again.
                if isinstance(exc, Exception):
                    self._fault = exc
                else:  # what ends whoever asked is not to end the feed's own thread
                    self._fault = ConnectionError("a look for changes was broken off")
                raise
        return True

    def _tell(self) -> None:
        """Publish the executions whose number went beyond the last one that was told."""
        counted = self._counted()
        if counted[self._kind] < self._last[self._kind]:
            # An older database was put in the place of this one, under the running service.
            self._last = counted
            self._publish(None)
            return
        changed = self._beyond(self._kind, counted)
        touched = self._beyond("touched", counted) if self._refresh is not None else []
        withdrawn = counted["withdrawn"] != self._last["withdrawn"]
        self._last = counted
        if self._refresh is not None and (touched or withdrawn):
            self._refresh(None if withdrawn else touched)  # of what is gone no row says what it was
        if changed:
            self._publish(changed)

    def _beyond(self, kind: Kind, counted: dict[str, int]) -> list[str]:
        """List what was changed since the last look; ``counted`` is brought up to it."""
        last = self._last[kind]
        if counted[kind] == last:
            return []
        statement = self._beyond_last[kind]
        rows = self._execute(statement, (last,) * statement.count("?")).fetchall()
        # Rows may be gone, or have gone further since the counter was read.
        counted[kind] = max([counted[kind], *(number for _, number in rows[-1:])])
        return [id_ for id_, _ in rows]

    def _counted(self) -> dict[str, int]:
        return dict(self._execute(self._counters).fetchall())


def _beyond(kind: Kind) -> Select[Any] | CompoundSelect[Any]:
    """Return the statement that lists what was changed after the change of a number."""
    number, last = executions.c[kind], bindparam("last", type_=BigInteger)
    there = select(executions.c.id, number).where(number > last)
    if kind not in ("changed", "wanted"):
        return there.order_by(number)
    asked = operations.c[kind]
    operated = select(operations.c.id, asked).where(asked > last)
    if kind == "wanted":
        return union_all(there, operated).order_by(kind)
    # That it was purged is the last change of an execution.
    gone = select(tombstones.c.id, tombstones.c.changed).where(tombstones.c.changed > last)
    return union_all(there, gone, operated).order_by(kind)


def _text(connection: Connection, statement: Select[Any] | CompoundSelect[Any]) -> str:
    """Write a statement for the driver of a connection."""
    return str(statement.compile(dialect=connection.dialect))


class PostgresFeed(ChangeFeed):
    """Listens to PostgreSQL's notifications, whose payload is an execution's id.

    The server signals a notification before the writer learns that its commit is done, and sends
    all that was signalled before it answers a statement on the listening connection. So any answer
    there proves that earlier commits are known; one serves all who asked before the statement.

    A connection that died silently, or whose server was demoted, stays silent for ever. So after a
    while of silence it is asked whether its server still takes changes. The same statement is asked
    whenever something is to be proved.
    """

    def __init__(
        self, database: Database, kind: Kind, publish: Publish, refresh: Publish | None = None
    ) -> None:
        super().__init__(database, kind, publish, refresh)
        self._heard: list[tuple[str, str]] = []
        self._bell = -1
        self._answer: Future[None] | None = None

    def _open(self) -> None:
        connection = self._database.connect()
        try:
            connection.add_notify_handler(lambda n: self._heard.append((n.channel, n.payload)))
            self._ask(connection)
            connection.execute(f"LISTEN slipway_{self._kind}")
            if self._refresh is not None:
                connection.execute("LISTEN slipway_touched")
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _listen(self) -> None:
        poll = select_.poll()
        with self._connection, self._listening():
            poll.register(self._connection.fileno(), select_.POLLIN)
            poll.register(self._bell, select_.POLLIN)
            while not self._closed.is_set():
                poll.poll(_SILENCE_SECONDS * 1000)
                self._look()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Let other threads ask for proof while the block runs; what is unanswered then fails."""
        with self._lock:
            self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._answer = Future()
        try:
            yield
        finally:
            with self._lock:
                answer, self._answer = self._answer, None
                os.close(self._bell)
            answer.set_exception(ConnectionError("the feed has lost its connection"))

    def _look(self) -> None:
        """Publish the notifications that there are, then answer who asked for proof before."""
        with self._lock:
            with suppress(BlockingIOError):
                os.eventfd_read(self._bell)
            # Whoever asks from here on may have seen a commit that this statement does not cover.
            answer, self._answer = self._answer, Future()
        assert answer is not None  # noqa: S101  (this is the thread that listens)
        try:
            self._ask(self._connection)
            with self._lock:
                self._tell()
        except BaseException as exc:
            answer.set_exception(exc)
            raise
        answer.set_result(None)

    def _catch_up(self) -> None:
        # Only the thread of the feed speaks on the connection: a request may be cut off at any
        # moment, and would leave half a question there.
        with self._lock:
            if self._answer is None:
                raise ConnectionError("the feed is not listening")
            answer = self._answer
            os.eventfd_write(self._bell, 1)
        answer.result()

    def _tell(self) -> None:
        heard, self._heard = self._heard, []
        touched = {id_ for channel, id_ in heard if channel == "slipway_touched"}
        changed = {id_ for channel, id_ in heard if channel != "slipway_touched"}
        if touched and self._refresh is not None:
            self._refresh(touched)
        if changed:
            self._publish(changed)

    @staticmethod
    def _ask(connection: BoundedConnection) -> None:
        with bounded(_CHECK_SECONDS):
            row = connection.execute("SHOW transaction_read_only").fetchone()
        if row != ("off",):
            raise ConnectionError("the server is read-only, such as a standby")


def open_feed(
    database: Database, kind: Kind, publish: Publish, refresh: Publish | None = None
) -> ChangeFeed:
    """Start the feed of a database's kind; see :class:`ChangeFeed`."""
    make = SqliteFeed if database.is_sqlite else PostgresFeed
    feed = make(database, kind, publish, refresh)
    feed.start()
    return feed


class _Block:
    """Readers that are woken together: those that wait in a thread, and those to be called."""

    __slots__ = ("calls", "event", "waiting")

    def __init__(self) -> None:
        self.event = threading.Event()
        self.calls: dict[Callable[[], None], None] = {}
        self.waiting = 0

    def wake(self) -> None:
        self.event.set()
        calls, self.calls = self.calls, {}
        for call in calls:
            call()


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
        # Only the latest one may have room: places left in others are not worth a search.
        if block is None or block.waiting >= _BLOCK:
            block = _Block()
            self.blocks[block] = None
        block.waiting += 1
        return block

    def leave(self, block: _Block) -> None:
        """Give a place back, so that readers who come and go in a silence leave nothing."""
        block.waiting -= 1
        if not block.waiting:
            self.blocks.pop(block, None)

    def take(self) -> list[_Block]:
        blocks, self.blocks = self.blocks, {}
        self.version = next(self.versions)
        return list(blocks)


class Subscription:
    """One reader's place in the line for one execution.

    Attributes:
        seen: Version of the execution that the reader has seen. Whatever is read from the store
            after the subscription, or after :meth:`wait`, is at least as new; versions are never
            used twice by a process.
    """

    __slots__ = ("_block", "_changes", "_topic", "seen")

    def __init__(self, changes: Changes, topic: _Topic) -> None:
        self._changes = changes
        self._topic = topic
        self._block: _Block | None = None
        self.seen = topic.version

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until the execution changed since the last call, or since the subscription.

        Returns:
            False when the time is over or the process is about to stop.
        """
        self.pause(timeout_seconds)
        return self.has_changed()

    def has_changed(self) -> bool:
        """Return what :meth:`wait` returns, without waiting."""
        seen, self.seen = self.seen, self._topic.version
        return self.seen != seen and not self._changes.closing

    def is_behind(self) -> bool:
        """Return whether :meth:`wait` would return at once; it may all the same."""
        return self.seen != self._topic.version or self._changes.closing

    def pause(self, timeout_seconds: float) -> None:
        """Wait as :meth:`wait` does; :meth:`has_changed` says afterwards what happened."""
        block = self._changes.join(self._topic, self.seen)
        if block is not None:
            try:
                block.event.wait(timeout_seconds)
            finally:
                self._changes.leave(self._topic, block)

    def call(self, wake: Callable[[], None]) -> None:
        """Have a function called once when :meth:`pause` would return, which may be at once.

        Args:
            wake: Must not wait for anything: others are called after it.
        """
        self._block = self._changes.join(self._topic, self.seen, wake)
        if self._block is None:
            wake()

    def uncall(self, wake: Callable[[], None]) -> None:
        """Have a function not called any more, whether it was or not."""
        block, self._block = self._block, None
        if block is not None:
            self._changes.leave(self._topic, block, wake)


class Changes:
    """Wakes the readers of this process.

    Ten thousand waiters of one event would all run in one turn of the event loop, and nothing else
    would. So they wait in blocks of 64, and a dispatcher lets the loop breathe between blocks.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._topics: dict[str, _Topic] = {}
        self._lock = threading.Lock()
        self._queue: deque[_Block] = deque()
        self._work = threading.Event()
        self._feed: ChangeFeed | None = None
        self._observers: list[Publish] = []
        self._stamps: dict[str, int] = {}
        self._epoch = 0
        self.closing = False

    def start(self) -> None:
        """Begin to follow the store."""
        self._feed = open_feed(self._database, "changed", self._changed, self._outdate)
        threading.Thread(target=self._dispatch, name="wake-ups", daemon=True).start()

    def close(self) -> None:
        """Wake everybody for the last time; from now on nobody waits."""
        self.closing = True
        if self._feed is not None:
            self._feed.close()
        self.publish(None)
        self._work.set()

    def prove(self) -> bool:
        """Make sure that all earlier commits are published; see :meth:`ChangeFeed.prove`."""
        return self._feed is not None and self._feed.prove()

    def stamp(self, topic: str) -> Hashable:
        """Return a value that differs from earlier ones once anything of an execution has changed.

        A change counts before the readers are woken who wait for it.
        """
        return self._epoch, self._stamps.get(topic, 0)

    def observe(self, observer: Publish) -> None:
        """Call a function for each batch of changes, before the readers are woken.

        Args:
            observer: Gets the ids of the executions; None when some may have been missed.
        """
        self._observers.append(observer)

    def _outdate(self, ids: Collection[str] | None) -> None:
        if ids is None or len(self._stamps) > _MOST_STAMPS:
            self._epoch += 1
            self._stamps = {}
        for id_ in (ANYTHING, *(ids or ())):
            self._stamps[id_] = self._stamps.get(id_, 0) + 1

    def _changed(self, ids: Collection[str] | None) -> None:
        self._outdate(ids)
        for observer in self._observers:
            observer(ids)
        self.publish(ids)

    def watched(self, topic: str) -> bool:
        """Return whether any reader of this process is subscribed."""
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
            # It notes the version before its reader reads: what changes meanwhile ends the wait.
            subscription = Subscription(self, topic)
        try:
            yield subscription
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

    def join(
        self, topic: _Topic, seen: int, wake: Callable[[], None] | None = None
    ) -> _Block | None:
        """Stand in line for a version of a topic beyond the one that was seen; None if it is there.

        Args:
            topic: The topic.
            seen: The version.
            wake: Called when it is there; without it, the caller waits for the event of the block.
        """
        with self._lock:
            if self.closing or topic.version != seen:
                return None
            block = topic.join()
            if wake is not None:
                block.calls[wake] = None
            return block

    def leave(self, topic: _Topic, block: _Block, wake: Callable[[], None] | None = None) -> None:
        """Stand in line no longer."""
        with self._lock:
            if wake is not None:
                block.calls.pop(wake, None)
            topic.leave(block)

    def _dispatch(self) -> None:
        while not self.closing or self._queue:
            self._work.wait()
            self._work.clear()
            while self._queue:
                self._queue.popleft().wake()
                # Not 0: the hub drains many callbacks before it looks at sockets again.
                time.sleep(0.001)

"""Holds the connections of slaves, and stands between them and the store.

Of all slaves that a web process holds, what they report is stored in one transaction, a few times a
second; what is wanted of them is read when the store tells that it has changed. A slave whose
connection ends is taken for lost at once, and one that says nothing after a while; what it does is
for conductors to give to others. An answer to a slave means that its report is stored, so where the
store is away its lease ends.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from app import __version__
from app.domain import JSON, Identity, Permission
from app.errors import NotAuthenticated, NotFound, SlipwayError, Taken
from app.identity.permissions import is_allowed
from app.load.messages import FromSlave, Heartbeat, Leave, Register, RegisterAck, TaskReport
from app.load.protocol import (
    NORMAL_CLOSURE,
    NOT_ALLOWED,
    PROTOCOL_ERROR,
    SERVICE_RESTART,
    TAKEN_FOR_LOST,
    TRY_AGAIN_LATER,
    written,
)
from app.services.access import Access, Watch
from app.services.slave_line import Line
from app.store import slaves as stored
from app.store.changes import ChangeFeed, open_feed
from app.store.database import Database
from app.store.definitions import DefinitionSnapshots
from app.store.load_tasks import LoadTasks

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS: Final = 1.0
"""How often a slave gives a sign of life."""
GATHER_SECONDS: Final = 0.1
"""How long reports wait for those of other slaves."""

_WAIT_SECONDS: Final = 0.5
"""How often a connection is looked at on which nothing happens."""
_RETRY_SECONDS: Final = 1.0
"""When the store is asked again that was away."""
_DEFINITIONS_KEPT: Final = 8


@dataclass(slots=True)
class _News:
    """What one slave has said since it was last stored."""

    line: Line
    beat: Heartbeat
    reports: dict[str, TaskReport] = field(default_factory=dict)

    def add(self, beat: Heartbeat) -> None:
        self.beat = beat
        # Those of tasks that are not its own do not count.
        self.reports |= {each.task: each for each in beat.tasks if self.line.has(each.task)}

    def stored(self) -> stored.Beat:
        assert self.line.slave is not None  # noqa: S101  (only who has registered says this)
        reports = [
            stored.TaskReport(each.task, each.generation, each.report)
            for each in self.reports.values()
        ]
        return stored.Beat(
            self.line.slave.slave_id,
            self.line.id,
            self.beat.sequence,
            1.0 if self.beat.state == "draining" else self.beat.load,
            self.beat.active_tasks,
            reports,
        )


class _Silence:
    """How long nothing was heard; what this process stood still meanwhile does not count.

    Args:
        most_seconds: The longest that is borne.
    """

    def __init__(self, most_seconds: float) -> None:
        self._most_seconds = most_seconds
        self._seconds = 0.0
        self._looked_at = time.monotonic()

    def lasts_too_long(self, *, heard: bool) -> bool:
        """Return whether it is too long by now.

        Args:
            heard: Whether something was heard since the last time.
        """
        now = time.monotonic()
        passed, self._looked_at = now - self._looked_at, now
        self._seconds = 0.0 if heard else self._seconds + min(passed, 2 * _WAIT_SECONDS)
        return self._seconds > self._most_seconds


class SlaveHub:
    """The slaves that this process holds.

    Args:
        database: The store.
        access: Knows whether a credential still holds.
        lease_seconds: After such a silence a slave is taken for lost; it may make no request beyond
            that either.
        alone_seconds: How long a slave goes on whose master has gone away.
        allowed_networks: What virtual users may connect to; None for all.
        denied_networks: What of that they may not; None for the metadata services of clouds.
    """

    def __init__(
        self,
        database: Database,
        access: Access,
        lease_seconds: float,
        alone_seconds: float,
        *,
        allowed_networks: Sequence[str] | None = None,
        denied_networks: Sequence[str] | None = None,
    ) -> None:
        self._allowed = None if allowed_networks is None else tuple(allowed_networks)
        self._denied = None if denied_networks is None else tuple(denied_networks)
        self._lease_seconds = lease_seconds
        self._alone_seconds = alone_seconds
        self._database = database
        self._access = access
        self._slaves = stored.Slaves(database)
        self._tasks = LoadTasks(database)
        self._snapshots = DefinitionSnapshots(database)
        self._definitions: OrderedDict[str, JSON] = OrderedDict()
        self._master_id = f"{socket.gethostname()}-{os.getpid()}"
        self._lock = threading.Lock()
        # So that nothing is told that was read before something newer was told.
        self._reading = threading.Lock()
        self._lines: dict[str, Line] = {}
        self._news: dict[str, _News] = {}
        self._bell = threading.Event()
        self._assigned: set[str] | None = set()
        self._assigned_bell = threading.Event()
        self._feed: ChangeFeed | None = None
        self._closing = False

    def close(self) -> None:
        """Say goodbye to all: this process ends, and another one takes them."""
        self._closing = True
        for line in self._all():
            line.end(SERVICE_RESTART, "this process ends")
        if self._feed is not None:
            self._feed.close()
        self._bell.set()
        self._assigned_bell.set()

    def serve(self, line: Line, identity: Identity) -> Generator[bytes, None, None]:
        """Take what a slave says, and yield the texts that it is to be sent.

        It ends when the connection has ended, or ``line.goodbye`` says how it is to end.

        Args:
            line: The connection.
            identity: Whose credential the slave has.
        """
        watch, silence = self._access.watch(identity), _Silence(self._lease_seconds)
        try:
            while not line.is_over:
                said = line.said(_WAIT_SECONDS)
                for message in said:
                    yield from self._take(line, message)
                if silence.lasts_too_long(heard=bool(said)):
                    line.end(TAKEN_FOR_LOST if line.slave else PROTOCOL_ERROR, "nothing was heard")
                self._check(line, watch)
                yield from line.news(self._definition)
        except SlipwayError as exc:
            log.warning("a slave cannot be served now", error=exc.message)
            line.end(TRY_AGAIN_LATER, "the store is away")
        finally:
            self._release(line)

    def _take(self, line: Line, message: FromSlave) -> Iterator[bytes]:
        if isinstance(message, Register):
            if line.slave is None:
                yield written(self._register(line, message))
                return
        elif line.slave is not None:
            if isinstance(message, Heartbeat):
                self._note(line, message)
            elif isinstance(message, Leave):
                line.end(NORMAL_CLOSURE, "goodbye")
            return
        line.end(PROTOCOL_ERROR, "a slave registers once, and before it says anything else")

    def _register(self, line: Line, who: Register) -> RegisterAck:
        machine = who.machine
        new = stored.NewSlave(
            who.slave_id, who.type, who.address, who.capabilities, who.labels,
            machine.cpu_cores, machine.memory_mb, machine.max_vus, who.incarnation, line.id,
        )  # fmt: skip
        line.slave = who  # before it is entered: whatever breaks that off, it is let go of
        try:
            self._start()
            self._slaves.register(new, self._lease_seconds)
        except Taken as exc:
            line.slave = None
            line.end(NORMAL_CLOSURE, "the id is taken")
            return self._answer(who, error=exc.message)
        with self._lock:
            older = self._lines.get(who.slave_id)
            self._lines[who.slave_id] = line
        if older is not None:
            older.end(TAKEN_FOR_LOST, "it is connected anew")
        with self._reading:
            wanted = self._tasks.of_slave(who.slave_id, who.incarnation)
            for task in wanted:
                line.want(task)
        for unknown in set(who.tasks) - {task.id for task in wanted}:
            line.forget(unknown)
        log.info("slave joined", slave=who.slave_id, address=who.address, tasks=len(who.tasks))
        return self._answer(who)

    def _answer(self, who: Register, error: str = "") -> RegisterAck:
        return RegisterAck(
            accepted=not error,
            assigned_id=who.slave_id,
            error=error,
            heartbeat_interval_ms=round(HEARTBEAT_SECONDS * 1000),
            lease_ms=round(self._lease_seconds * 1000),
            alone_ms=round(self._alone_seconds * 1000),
            master_id=self._master_id,
            version=__version__,
            allowed_networks=self._allowed,
            denied_networks=self._denied,
        )

    def _check(self, line: Line, watch: Watch) -> None:
        """End the connection where its credential does not hold any more."""
        try:
            watch.check()
        except NotAuthenticated as exc:
            line.end(NOT_ALLOWED, exc.message)
        except SlipwayError:
            return  # nobody knows now; where the store is away its lease ends
        if not is_allowed(watch.identity, Permission.NODES_JOIN):
            line.end(NOT_ALLOWED, "the credential does not allow it any more")

    def _release(self, line: Line) -> None:
        """Let go of a connection, in a thread that goes on when that of the request is ended.

        Once its client is gone it is, wherever it is, also in the middle of this.
        """
        thread = threading.Thread(target=self._let_go, args=(line,), name="slaves", daemon=True)
        thread.start()
        thread.join()

    def _let_go(self, line: Line) -> None:
        """Have a slave lost whose connection has ended, unless another process is to take it."""
        who = line.slave
        line.end(NORMAL_CLOSURE, "")
        if who is None:
            return
        with self._lock:
            news = self._news.pop(line.id, None)
            if self._lines.get(who.slave_id) is line:
                del self._lines[who.slave_id]
        try:
            if news is not None:
                self._slaves.beat([news.stored()])
            if not self._closing and self._slaves.lost(who.slave_id, line.id):
                reason = line.goodbye.reason if line.goodbye else ""
                log.info("slave is gone", slave=who.slave_id, reason=reason or "it hung up")
        except SlipwayError as exc:
            # Its silence is noticed by those who can ask the store.
            log.warning("it could not be stored that a slave is gone", error=exc.message)

    # Reports.

    def _note(self, line: Line, beat: Heartbeat) -> None:
        for each in beat.tasks:
            if not line.has(each.task):
                line.forget(each.task)
        with self._lock:
            news = self._news.setdefault(line.id, _News(line, beat))
            news.add(beat)
        self._bell.set()

    def _store_reports(self) -> None:
        while not self._closing:
            self._bell.wait()
            time.sleep(GATHER_SECONDS)
            self._bell.clear()
            with self._lock:
                news, self._news = self._news, {}
            try:
                self._store(list(news.values()))
            except Exception as exc:  # noqa: BLE001  (what is cumulative comes again)
                log.warning("reports of slaves could not be stored", error=str(exc))
                time.sleep(_RETRY_SECONDS)

    def _store(self, news: list[_News]) -> None:
        void = set(self._slaves.beat([each.stored() for each in news]))
        for each in news:
            slave = each.line.slave
            if slave is not None and slave.slave_id in void:
                each.line.end(TAKEN_FOR_LOST, "it was taken for lost, or is connected elsewhere")
            else:
                each.line.acknowledge(each.beat.sequence)

    # What is wanted.

    def _start(self) -> None:
        """Begin to follow the store, when the first slave comes."""
        with self._lock:
            if self._feed is not None:
                return
            self._feed = open_feed(self._database, "assigned", self._hear)
        for work in (self._store_reports, self._tell):
            threading.Thread(target=work, name="slaves", daemon=True).start()

    def _hear(self, executions: Collection[str] | None) -> None:
        with self._lock:
            if executions is None or self._assigned is None:
                self._assigned = None
            else:
                self._assigned |= set(executions)
        self._assigned_bell.set()

    def _tell(self) -> None:
        while not self._closing:
            self._assigned_bell.wait()
            self._assigned_bell.clear()
            with self._lock:
                executions, self._assigned = self._assigned, set()
            try:
                with self._reading:
                    self._read_wanted(executions)
            except Exception as exc:  # noqa: BLE001  (nothing of it may be missed)
                log.warning("what is wanted of slaves could not be read", error=str(exc))
                time.sleep(_RETRY_SECONDS)
                self._hear(executions)

    def _read_wanted(self, executions: Collection[str] | None) -> None:
        lines = {line: line.tasks(executions) for line in self._all()}
        found = [] if executions is None else self._tasks.of_executions(executions)
        for line, known in lines.items():
            who = line.slave
            assert who is not None  # noqa: S101  (it stands in the table)
            if executions is None:
                wanted = self._tasks.of_slave(who.slave_id, who.incarnation)
            else:
                mine = (who.slave_id, who.incarnation)
                wanted = [task for task in found if (task.slave, task.incarnation) == mine]
            for task in wanted:
                line.want(task)
            for over in set(known) - {task.id for task in wanted}:
                line.forget(over)

    def _definition(self, digest: str) -> JSON:
        """Return a definition; None where it is gone, as nothing needs it any more."""
        known = self._definitions.pop(digest, None)
        try:
            self._definitions[digest] = known or self._snapshots.get(digest)
        except NotFound:
            return None
        while len(self._definitions) > _DEFINITIONS_KEPT:
            self._definitions.popitem(last=False)
        return self._definitions[digest]

    def _all(self) -> list[Line]:
        with self._lock:
            return list(self._lines.values())

"""The parent process of a slave: one connection, worker processes, and the loop between them.

What is decided stands in :mod:`app.load.slave.core`; this moves the bytes. Nothing here waits for
anything but in one place, and to connect has a thread of its own.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from app.backoff import Backoff
from app.load.messages import Register
from app.load.protocol import NORMAL_CLOSURE, PROTOCOL_ERROR, Malformed, from_master
from app.load.slave.connection import (
    Connection,
    Ended,
    Master,
    NotWelcome,
    connect,
)
from app.load.slave.core import Core, NotTaken
from app.load.slave.lease import boot_seconds
from app.load.slave.lines import read_reports
from app.load.slave.shares import Vus
from app.load.slave.workers import Worker, WorkerEnded

_RECONNECT: Final = Backoff(first=0.5, longest=4.0, growth=1.6, jitter=0.25)
_LONGEST_WAIT_SECONDS: Final = 0.5
"""How often the loop looks around although nothing has happened."""
_SILENT_SECONDS: Final = 5.0
"""A worker process that has said nothing for so long, while this one ran, is replaced."""
LEAVE_SECONDS: Final = 40.0
"""For what runs to end, and for the last reports to arrive; then the slave goes without a word."""
_GOING_AWAY: Final = 1001


class Log(Protocol):
    """Where a slave tells what happens."""

    def info(self, event: str, **fields: object) -> None:
        """Log something that is as it should be."""

    def error(self, event: str, **fields: object) -> None:
        """Log a fault."""


class Slave:
    """A slave, from its start to its end.

    Args:
        master: Where it works.
        me: How it registers.
        worker: What starts a worker process.
        processes: How many of them.
        vus: Tells how many virtual users of a task are in a segment.
        signals: Descriptor from which the numbers of signals can be read; SIGHUP changes nothing.
        log: Where it tells what happens.
        announce: Called when it has joined for the first time.
        leave_seconds: How long what runs may go on after the first signal.
    """

    def __init__(
        self,
        master: Master,
        me: Register,
        worker: Sequence[str],
        processes: int,
        *,
        vus: Vus,
        signals: int,
        log: Log,
        announce: Callable[[], None] = lambda: None,
        leave_seconds: float = LEAVE_SECONDS,
    ) -> None:
        self._leave_seconds = leave_seconds
        self._master = master
        self._core = Core(me, processes, vus)
        self._workers = [Worker(number, worker) for number in range(processes)]
        self._signals = signals
        self._log = log
        self._announce: Callable[[], None] | None = announce
        self._connection: Connection | None = None
        self._connecting = False
        self._results: queue.SimpleQueue[Connection | Exception] = queue.SimpleQueue()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._connect_at, self._failures = 0.0, 0
        self._told: str | None = None
        self._leave_until: float | None = None
        self._looked_at = boot_seconds()

    def run(self) -> None:
        """Work until a signal says to stop and all is reported; a second one ends it at once.

        Raises:
            NotWelcome: The master does not want it, or not any more.
        """
        try:
            while not self._is_done():
                self._step()
        finally:
            if self._connection is not None:
                self._connection.close(_GOING_AWAY)
            for worker in self._workers:
                worker.end()
            os.close(self._bell)

    def _step(self) -> None:
        now = boot_seconds()
        self._core.tick(now)
        self._drop_if_overdue(now)
        self._tend_workers(now)
        if self._connection is None and not self._connecting and now >= self._connect_at:
            self._connecting = True
            threading.Thread(target=self._connect, name="connect", daemon=True).start()
        self._say(now)
        wait = min(_LONGEST_WAIT_SECONDS, self._next_at() - boot_seconds())
        for descriptor, _ in self._awaited().poll(max(0.0, wait) * 1000):
            self._attend(descriptor)

    def _next_at(self) -> float:
        times = [worker.start_at for worker in self._workers if not worker.runs]
        if self._connection is None and not self._connecting:
            times.append(self._connect_at)
        return min((self._core.next_at(), *times))

    def _awaited(self) -> select.poll:
        """Return what is waited for: a handful of descriptors, which come and go."""
        poll = select.poll()
        for descriptor in (self._signals, self._bell):
            poll.register(descriptor, select.POLLIN)
        connection = self._connection
        if connection is not None:
            writes = select.POLLOUT if connection.wants_to_write else 0
            poll.register(connection.fileno(), select.POLLIN | writes)
        for worker in self._workers:
            if worker.runs:
                poll.register(worker.output, select.POLLIN)
                if worker.wants_to_write:
                    poll.register(worker.input, select.POLLOUT)
        return poll

    def _attend(self, descriptor: int) -> None:
        now = boot_seconds()
        self._core.tick(now)  # before anything that lay about while this process stood still
        if descriptor == self._signals:
            self._be_told_to_stop(now)
        elif descriptor == self._bell:
            self._take_results(now)
        elif self._connection is not None and descriptor == self._connection.fileno():
            self._hear(self._connection, now)
        else:
            self._hear_worker(descriptor, now)

    def _be_told_to_stop(self, now: float) -> None:
        for number in os.read(self._signals, 64):
            if number == signal.SIGHUP:
                continue
            if self._leave_until is not None:
                self._leave_until = now
            else:
                self._leave_until = now + self._leave_seconds
                self._core.leave(now)
                self._log.info("no iteration begins any more; what runs may end")

    def _is_done(self) -> bool:
        """Return whether a signal has said to stop, and nothing is left to be done."""
        if self._leave_until is None:
            return False
        if self._core.has_left:
            connection = self._connection
            return connection is None or not (connection.wants_to_write or self._core.to_master)
        owes_nothing = not self._core.has_tasks and not self._core.joined
        return owes_nothing or boot_seconds() >= self._leave_until

    # The connection.

    def _connect(self) -> None:
        try:
            self._results.put(connect(self._master))
        except Exception as exc:  # noqa: BLE001  (the loop looks at each kind)
            self._results.put(exc)
        with suppress(OSError):  # the slave has ended meanwhile
            os.eventfd_write(self._bell, 1)

    def _take_results(self, now: float) -> None:
        os.eventfd_read(self._bell)
        with suppress(queue.Empty):
            result = self._results.get_nowait()
            self._connecting = False
            if isinstance(result, Connection):
                self._connection = result
                self._core.connected(now)
            elif isinstance(result, NotWelcome):
                self._refused(result, now)
            else:
                self._retry(str(result), now)

    def _refused(self, refusal: NotWelcome, now: float) -> None:
        """End for good where the master would say the same the next time."""
        if self._announce is not None or refusal.is_about_key:
            self._core.disconnected(now, at_once=True)
            raise refusal
        self._retry(str(refusal), now)

    def _retry(self, reason: str, now: float) -> None:
        self._failures += 1
        self._connect_at = now + _RECONNECT.pause(self._failures)
        if reason != self._told and not self._core.has_left:
            self._told = reason
            self._log.error("no connection to the master", reason=reason)

    def _hear(self, connection: Connection, now: float) -> None:
        try:
            for text in connection.receive():
                self._core.told(from_master(text), now)
                if self._core.joined:
                    self._has_joined()
        except Malformed as exc:
            connection.close(exc.code, exc.reason)
            self._core.dropped()
            self._lose(f"the master says what is no message: {exc.reason}", now)
        except NotTaken as exc:
            connection.close(NORMAL_CLOSURE)
            self._core.dropped()
            self._lose(f"the master does not take this slave: {exc}", now)
        except Ended as exc:
            connection.close(_GOING_AWAY)
            self._core.disconnected(now, at_once=exc.at_once)
            if exc.for_good:
                raise NotWelcome(f"{self._master.url} says goodbye: {exc}") from exc
            self._lose(str(exc), now)

    def _has_joined(self) -> None:
        if self._told is not None:
            self._log.info("joined again")
        self._failures, self._told = 0, None
        if self._announce is not None:
            self._announce()
            self._announce = None

    def _lose(self, reason: str, now: float) -> None:
        self._connection = None
        self._retry(reason, now)

    def _drop_if_overdue(self, now: float) -> None:
        connection = self._connection
        if connection is not None and self._core.is_overdue(now):
            connection.close(PROTOCOL_ERROR, "nothing was heard for too long")
            self._core.dropped()
            self._lose("the master does not answer", now)

    # The worker processes.

    def _tend_workers(self, now: float) -> None:
        # If this process could not run for a while, the others perhaps could not, either.
        passed = now - self._looked_at
        late = max(0.0, passed - _LONGEST_WAIT_SECONDS)
        self._looked_at = now
        for worker in self._workers:
            worker.heard_at += late
            if not worker.runs and now >= worker.start_at:
                self._start(worker, now)
            elif worker.runs and now - worker.heard_at > _SILENT_SECONDS:
                self._bury(worker, "it says nothing", now)

    def _start(self, worker: Worker, now: float) -> None:
        try:
            worker.start(now)
        except WorkerEnded as exc:
            self._log.error("a worker process cannot be started", error=str(exc))
            return
        self._core.worker_started(worker.number, now)

    def _bury(self, worker: Worker, reason: str, now: float) -> None:
        status = worker.bury(now)
        self._log.error("a worker process is replaced", reason=reason, exit_code=status)

    def _hear_worker(self, descriptor: int, now: float) -> None:
        for worker in self._workers:
            if worker.runs and descriptor == worker.output:
                try:
                    for line in worker.read(now):
                        reports = read_reports(line)
                        if reports is not None:
                            self._core.worker_said(worker.number, reports, now)
                except WorkerEnded as exc:
                    self._bury(worker, str(exc), now)

    # What is to be said.

    def _say(self, now: float) -> None:
        while self._core.to_workers:
            number, line = self._core.to_workers.popleft()
            self._workers[number].write(line)
        for worker in self._workers:
            if worker.runs:
                try:
                    worker.flush()
                except WorkerEnded as exc:
                    self._bury(worker, str(exc), now)
        connection = self._connection
        if connection is None:
            return
        try:
            while self._core.to_master:
                connection.send(self._core.to_master.popleft())
            connection.flush()
        except Ended as exc:
            connection.close(_GOING_AWAY)
            self._core.disconnected(now)
            self._lose(str(exc), now)

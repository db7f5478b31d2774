"""What a slave decides, without any input or output: whoever moves the bytes calls this.

Everything that happens is told with its time (:func:`app.load.slave.lease.boot_seconds`), and what
is to be said waits in :attr:`Core.to_master` and :attr:`Core.to_workers`.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from app.load.histogram import nothing
from app.load.measures import ErrorKind, StepCounts, with_few_errors
from app.load.messages import (
    MOST_TASKS,
    DesiredTask,
    Forget,
    FromMaster,
    Heartbeat,
    HeartbeatAck,
    Leave,
    Register,
    RegisterAck,
    TaskReport,
)
from app.load.protocol import LARGEST_TEXT, written
from app.load.slave.lease import Lease
from app.load.slave.lines import Reports, forget_line, lease_line, networks_line, task_line
from app.load.slave.networks import Networks
from app.load.slave.shares import SharedTask, Vus

_MOST_BYTES: Final = LARGEST_TEXT - 1024
_LATE_MS: Final = 20.0
"""A process whose work is that late again and again is full, whoever has the processor: what it
measures tells of that."""
_LATE_REPORTS: Final = 3
_FIRST_TERMS: Final = RegisterAck(accepted=False, assigned_id="")


class NotTaken(Exception):
    """The master has refused the slave, and says why."""


class Core:
    """A slave: its tasks, its lease, and what it says.

    Args:
        me: How it registers, without tasks.
        processes: How many worker processes it has.
        vus: Tells how many virtual users of a task are in a segment.

    Attributes:
        to_master: Texts that are to be sent.
        to_workers: Lines that are to be written, each with the number of the process.
        joined: Whether the master has taken the slave on this connection.
        has_left: Whether all is reported, and the goodbye said.
    """

    def __init__(self, me: Register, processes: int, vus: Vus) -> None:
        self._me = me
        self._processes = processes
        self._vus = vus
        self.to_master: deque[bytes] = deque()
        self.to_workers: deque[tuple[int, bytes]] = deque()
        self.joined = self.has_left = False
        self._lease = Lease()
        self._tasks: dict[str, SharedTask] = {}
        self._loads = [0.0] * processes
        self._late = [0] * processes
        self._terms = _FIRST_TERMS
        self._sequence = 0
        self._sent_at: dict[int, float] = {}
        self._registered_at = -math.inf
        self._next_beat_at = math.inf
        self._leaving = False
        self._last_word: int | None = None

    # What happens on the connection.

    def connected(self, now: float) -> None:
        """Begin on a new connection: say who this is, and what it is doing."""
        self._forget_connection()
        self._registered_at = now
        self.to_master.append(written(replace(self._me, tasks=tuple(self._tasks))))

    def disconnected(self, now: float, *, at_once: bool = False) -> None:
        """Note that the master has closed the connection.

        Args:
            now: When that was noticed.
            at_once: It has said that what the slave does is not its own any more.
        """
        self._forget_connection()
        if at_once:
            self._lease.end()
        else:
            self._lease.left_alone(now, self._terms.alone_ms / 1000)
        self._tell_lease(now)
        self._hold_unless_leased(now)

    def dropped(self) -> None:
        """Note that the connection was given up on this side, as nothing was heard on it."""
        self._forget_connection()

    def told(self, message: FromMaster, now: float) -> None:
        """Take what the master says.

        Raises:
            NotTaken: It does not take the slave.
        """
        if isinstance(message, RegisterAck):
            self._registered(message, now)
        elif isinstance(message, HeartbeatAck):
            self._acknowledged(message.sequence, now)
        elif isinstance(message, DesiredTask):
            self._assigned(message, now)
        elif isinstance(message, Forget):
            self._forget(message.task)

    def is_overdue(self, now: float) -> bool:
        """Return whether a connection is to be given up: the master does not answer on it."""
        if self.joined:
            return not self._lease.holds(now)
        return now - self._registered_at > self._terms.lease_ms / 1000

    # What happens at the worker processes.

    def worker_started(self, process: int, now: float) -> None:
        """Tell a new process all that it is to do."""
        self._loads[process], self._late[process] = 0.0, 0
        for task in self._tasks.values():
            task.replaced(process)
        self.to_workers.append((process, lease_line(self._lease.until, now)))
        self._tell_networks(process)
        self._tell_tasks(now)

    def worker_said(self, process: int, reports: Reports, now: float) -> None:
        """Take the reports of a process; what has ended is told at once."""
        self._late[process] = self._late[process] + 1 if reports.lag_ms > _LATE_MS else 0
        self._loads[process] = 1.0 if self._late[process] >= _LATE_REPORTS else reports.load
        for each in reports.tasks:
            task = self._tasks.get(each.task)
            if task is not None and task.reported(process, each) and self.joined:
                self._next_beat_at = now
        self._tell_tasks(now)

    # What time brings.

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._hold_unless_leased(now)
        if self.joined and now >= self._next_beat_at:
            self._beat(now)

    def next_at(self) -> float:
        """Return when :meth:`tick` is to be called again, at the latest."""
        return min(self._next_beat_at, self._lease.until if self._tasks else math.inf)

    def leave(self, now: float) -> None:
        """Begin no iteration any more, report the last ones, and go."""
        self._leaving = True
        self._tell_tasks(now)
        if self.joined:
            self._next_beat_at = now

    @property
    def has_tasks(self) -> bool:
        """Whether there is anything of which the master may not know the end."""
        return bool(self._tasks)

    @property
    def is_idle(self) -> bool:
        """Whether nothing of any task runs any more."""
        return all(task.has_ended for task in self._tasks.values())

    def _forget_connection(self) -> None:
        self.joined, self._next_beat_at, self._last_word = False, math.inf, None
        self.to_master.clear()
        self._sent_at.clear()

    def _registered(self, answer: RegisterAck, now: float) -> None:
        if not answer.accepted:
            raise NotTaken(answer.error or "it does not say why")
        try:
            Networks.of(answer.allowed_networks, answer.denied_networks)
        except ValueError as exc:
            raise NotTaken(f"it names networks that are none: {exc}") from None
        self._hold_unless_leased(now)  # what was wanted before is out of date then
        self._terms, self.joined = answer, True
        self._lease.joined(self._registered_at, answer.lease_ms / 1000)
        self._tell_lease(now)
        for process in range(self._processes):
            self._tell_networks(process)
        self._next_beat_at = now

    def _acknowledged(self, sequence: int, now: float) -> None:
        sent_at = self._sent_at.get(sequence)
        if sent_at is None:
            return
        self._sent_at = {each: at for each, at in self._sent_at.items() if each > sequence}
        self._lease.answered(sent_at, self._terms.lease_ms / 1000)
        self._tell_lease(now)
        if self._last_word is not None and sequence >= self._last_word:
            self.to_master.append(written(Leave()))
            self.has_left = True

    def _assigned(self, wanted: DesiredTask, now: float) -> None:
        task = self._tasks.get(wanted.task)
        if task is not None:
            task.take(replace(wanted, definition=task.desired.definition), now)
        elif wanted.definition is not None and len(self._tasks) < MOST_TASKS:
            self._tasks[wanted.task] = SharedTask(wanted, now, self._processes, self._vus)
        self._tell_tasks(now)

    def _forget(self, id_: str) -> None:
        if self._tasks.pop(id_, None) is not None:
            for process in range(self._processes):
                self.to_workers.append((process, forget_line(id_)))

    def _hold_unless_leased(self, now: float) -> None:
        """Begin nothing more by what was wanted before, where that is out of date.

        It stays so when the lease is renewed, until the master says anew what it wants.
        """
        if not self._lease.holds(now):
            for task in self._tasks.values():
                task.hold(now)
            self._tell_tasks(now)

    def _tell_tasks(self, now: float) -> None:
        for task in self._tasks.values():
            for process, wanted in task.wants(now, leaving=self._leaving):
                self.to_workers.append((process, task_line(wanted)))

    def _tell_networks(self, process: int) -> None:
        terms = self._terms
        line = networks_line(terms.allowed_networks, terms.denied_networks)
        self.to_workers.append((process, line))

    def _tell_lease(self, now: float) -> None:
        for process in range(self._processes):
            self.to_workers.append((process, lease_line(self._lease.until, now)))

    def _beat(self, now: float) -> None:
        self._next_beat_at = now + self._terms.heartbeat_interval_ms / 1000
        active = sum(not task.has_ended for task in self._tasks.values())
        state = "draining" if self._leaving else "online"
        for few in _fitting([task.report() for task in self._tasks.values()]):
            self._sequence += 1
            self._sent_at[self._sequence] = now
            beat = Heartbeat(self._sequence, state, self._load, active, few)
            self.to_master.append(written(beat))
        if self._leaving and self.is_idle:
            self._last_word = self._sequence

    @property
    def _load(self) -> float:
        vus = sum(task.vus for task in self._tasks.values())
        return min(1.0, max(vus / self._me.machine.max_vus, *self._loads))


def _fitting(reports: Sequence[TaskReport]) -> Iterator[tuple[TaskReport, ...]]:
    """Yield reports in as many heartbeats as they need, in one at least."""
    beat = Heartbeat(0, "online", 0.0, 0, tuple(reports))
    if not reports or len(written(beat)) <= _MOST_BYTES:
        yield beat.tasks
    elif len(reports) == 1:
        yield (_without_steps(reports[0]),)
    else:
        half = len(reports) // 2
        yield from _fitting(reports[:half])
        yield from _fitting(reports[half:])


def _without_steps(task: TaskReport) -> TaskReport:
    """Return a report without the times of steps that says so: it would be too long to be taken."""
    said: ErrorKind = {
        "code": "REPORT_TOO_LONG",
        "message": "the figures of single steps are too many to be sent",
        "step_id": "",
        "first_ms": round(time.time() * 1000),
        "count": 1,
    }
    report = task.report
    steps: dict[str, StepCounts] = {
        name: {**step, "duration": nothing()} for name, step in report["steps"].items()
    }
    shortened = with_few_errors({**report, "steps": steps, "errors": [said, *report["errors"]]})
    return TaskReport(task.task, task.generation, shortened)

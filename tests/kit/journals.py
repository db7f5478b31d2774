"""Logs of executions that nobody runs, written straight into the store of a service."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from kit.service import Service

from app.domain import (
    ALL_LEVELS,
    DrivenExecution,
    ExecutionStatus,
    Level,
    LogStream,
    NewLogEntry,
    Observation,
    Task,
    TaskStatus,
)
from app.store import migrate
from app.store.database import Database
from app.store.driving import DrivenExecutions
from app.store.launches import Intent, Launches

MOMENT = 1_666_269_149_774
_OWNER = "the test"
_LEASE_SECONDS = 24 * 3600.0
_BATCH = 20_000


class Journals:
    """The store of a service, before it is started and while it runs.

    Args:
        service: The service.
    """

    def __init__(self, service: Service) -> None:
        folder: Path = service.data_dir
        folder.mkdir(parents=True, exist_ok=True)
        self._database = Database(f"sqlite:///{folder / 'slipway.db'}")
        migrate.upgrade(self._database)
        self._driving = DrivenExecutions(self._database)

    def new(self, *, steps: Sequence[str] = ("mesh", "solve"), owner: str = "anonymous") -> Journal:
        """Begin an execution; before the service is started, whose conductor would take it."""
        launches = Launches(self._database)
        id_ = str(uuid.uuid4())
        intent = Intent(id_, "local", "flow", "Flow", owner, {}, list(steps))
        execution, _ = launches.create(intent)
        launches.launched(execution, {"definition": "none"})
        self._driving.claim(_OWNER, _OWNER, _LEASE_SECONDS, (), 1000)
        return Journal(self._driving, self._driving.get(id_))

    def close(self) -> None:
        """Let go of the store."""
        self._database.dispose()


class Journal:
    """An execution whose log the test writes.

    Attributes:
        total: How many entries it has.
    """

    def __init__(self, driving: DrivenExecutions, execution: DrivenExecution) -> None:
        self._driving = driving
        self._execution = execution
        self.id = execution.id
        self.total = 0

    def write(
        self, *contents: str, level: Level = Level.INFO, task: str = "mesh", error: bool = False
    ) -> Journal:
        """Append entries.

        Args:
            contents: What they say.
            level: Their level.
            task: Whose they are.
            error: They come from a standard error.
        """
        stream = LogStream.STDERR if error else LogStream.STDOUT
        first = self.total
        entries = [
            NewLogEntry(level, MOMENT + first + n, content, task, stream=stream)
            for n, content in enumerate(contents)
        ]
        return self._append(entries)

    def fill(self, number: int, text: str = "line {n}") -> Journal:
        """Append many entries: of a hundred one is an error, nine are warnings."""
        for batch in self._batches(self.total, self.total + number, text):
            self._append(batch)
        return self

    def end(self, status: ExecutionStatus = ExecutionStatus.SUCCESS, *tasks: Task) -> Journal:
        """End it; ``mesh`` failed where it failed, unless told otherwise."""
        if status is ExecutionStatus.FAILED and not tasks:
            tasks = (Task("mesh", TaskStatus.FAILED, exit_code=2, attempts=1),)
        return self._see(Observation(status, cursor=None, tasks=tasks, log_complete=True))

    def _append(self, entries: Sequence[NewLogEntry]) -> Journal:
        self.total += len(entries)
        return self._see(Observation(ExecutionStatus.RUNNING, cursor=None, entries=tuple(entries)))

    def _see(self, seen: Observation) -> Journal:
        self._execution = self._driving.record(self._execution, _OWNER, seen)
        return self

    @staticmethod
    def _batches(first: int, last: int, text: str) -> Iterator[list[NewLogEntry]]:
        for begin in range(first, last, _BATCH):
            yield [
                NewLogEntry(level_of(n), MOMENT + n, text.format(n=n), "mesh" if n % 2 else "solve")
                for n in range(begin, min(begin + _BATCH, last))
            ]


def level_of(place: int) -> Level:
    """Return the level of an entry of :meth:`Journal.fill`."""
    if place % 100 == 50:
        return Level.ERROR
    return Level.WARN if place % 11 == 5 else Level.INFO


def places(levels: Level, total: int) -> list[int]:
    """Return the indexes of those that a filter lets through."""
    return [n for n in range(total) if level_of(n) & (levels or ALL_LEVELS)]

"""What the engine remembers of an execution between two observations: its cursor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from app.domain import JSON, Task, TaskStatus


@dataclass(slots=True)
class TaskState:
    """One task, as far as it came.

    Attributes:
        attempt: Number of attempts begun.
        starts: How often the start of this attempt had to be repeated.
        offset: How far the output of this attempt was read, as the launcher counts.
        begun_at: When it was decided to begin this attempt, seconds since the epoch.
        process: The launcher's name for the process that has the job, once it was seen.
        lost_at: When it was seen that the records are of no use, though the job still runs.
        outputs: Number of outputs that a success left.
        started_at: When the command itself began, seconds since the epoch.
        retry_at: When the next attempt may begin, seconds since the epoch.
        tail: The last lines of output, for the reason of a failure.
    """

    status: TaskStatus = TaskStatus.PENDING
    attempt: int = 0
    starts: int = 0
    offset: int = 0
    begun_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    retry_at: float | None = None
    exit_code: int | None = None
    node: str | None = None
    error: str | None = None
    tail: list[str] = field(default_factory=list)
    process: JSON = None
    lost_at: float | None = None
    outputs: int | None = None

    def begin_attempt(self, now: float) -> None:
        """Forget what the attempt before left."""
        self.status = TaskStatus.RUNNING
        self.attempt += 1
        self.starts = self.offset = 0
        self.begun_at = now
        self.started_at = self.finished_at = self.retry_at = None
        self.exit_code = self.error = self.process = self.lost_at = None
        self.tail = []


_DEFAULTS = asdict(TaskState())


class Progress:
    """The states of all tasks of an execution.

    Attributes:
        begun_at: When the first observation was made, seconds since the epoch.
        paused: Whether the commands were told to stop for a while.
    """

    def __init__(self, names: Sequence[str], cursor: JSON) -> None:
        cursor = cursor or {}
        self._stored: JSON = cursor.get("tasks", {})
        self.begun_at: float | None = cursor.get("begun_at")
        self.paused: bool = cursor.get("paused", False)
        self._tasks = {name: _load(self._stored.get(name, {})) for name in names}

    def __getitem__(self, name: str) -> TaskState:
        return self._tasks[name]

    def dump(self) -> JSON:
        """Give the cursor; what holds its default is left out."""
        return {
            "begun_at": self.begun_at,
            "paused": self.paused,
            "tasks": {name: _dump(task) for name, task in self._tasks.items()},
        }

    def changed(self) -> Iterator[Task]:
        """Give the tasks that are not as they were, for the store, where they began as pending."""
        for name, task in self._tasks.items():
            stored = self._stored.get(name, {})
            if _dump(task) != stored and (shown := _shown(name, task)) != _shown(
                name, _load(stored)
            ):
                yield shown

    def all_final(self) -> bool:
        """Tell whether no task can change any more."""
        return all(task.status.final for task in self._tasks.values())

    def share_done(self) -> float:
        """Give the share of tasks that are final, 0 to 1."""
        return sum(task.status.final for task in self._tasks.values()) / len(self._tasks)

    def first_start(self) -> float | None:
        """Give the moment when the first task began, seconds since the epoch."""
        return min((t.begun_at for t in self._tasks.values() if t.begun_at), default=None)


def _load(stored: JSON) -> TaskState:
    task = TaskState(**{key: value for key, value in stored.items() if key in _DEFAULTS})
    task.status = TaskStatus(task.status)
    task.tail = list(task.tail)
    return task


def _dump(task: TaskState) -> JSON:
    return {
        name: value
        for name, default in _DEFAULTS.items()
        if (value := getattr(task, name)) != default
    }


def _shown(name: str, task: TaskState) -> Task:
    return Task(
        name=name,
        status=task.status,
        started_at=moment(task.started_at or task.begun_at),
        finished_at=moment(task.finished_at),
        exit_code=task.exit_code,
        attempts=task.attempt,
        node=task.node,
        error=task.error,
    )


def moment(seconds: float | None) -> datetime | None:
    """Give the moment of so many seconds since the epoch, in whole milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)

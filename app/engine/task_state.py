"""One task of an execution of the engine, as far as it came."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from app.clock import Instant
from app.domain import JSON, Attempt, Task, TaskStatus, log_timestamp


@dataclass(slots=True)
class TaskState:
    """One task, as far as it came.

    Attributes:
        attempt: Number of attempts begun, of all runs.
        earlier: Number of those that belong to earlier runs.
        run: Number of the run, see :class:`app.domain.Task`.
        asked: It was asked for by name, so it begins whatever it needs.
        halted: What runs of it is being ended, because its user wants that.
        next_run: Number of the run that begins once it has ended; None if none does.
        origin: Id of the earlier execution that it was taken over from, and whose job it is; None
            where it is of this one.
        starts: How often the start of this attempt had to be repeated.
        offset: How far the output of this attempt was read, as the launcher counts.
        begun_at: When it was decided to begin this attempt, seconds since the epoch.
        process: The launcher's name for the process that has the job, once it was seen.
        lost_at: When it was seen that the records are of no use, though the job still runs, by
            :func:`app.clock.uptime`.
        outputs: Number of outputs that a success left.
        beside: Its job is on the machine of the conductor, and those of other tasks are not.
        ready_at: Since when this attempt could have begun, seconds since the epoch.
        queued: Why its job waits in a queue of the launcher; None if it does not.
        waits: What it waits for of what others have, as in :attr:`app.domain.Task.waits_for`.
        started_at: When the command itself began, seconds since the epoch.
        retry_at: When the next attempt may begin, by :func:`app.clock.uptime`.
        retry_due: The same as an :class:`app.clock.Instant`, for other starts of the machine.
        tail: The last lines of output, for the reason of a failure.
        elements: Of a step that runs for each element of a list: how many these are, once known.
        opened: Of such a step: an element has begun because the step could, not because somebody
            asked for it by name.
        item: The value that it is for, of a task of such an element; in a list, as it may be null.
        unread: It was cancelled, and what it wrote before is still to be read.
        levels: Level of the last line of a stream, by its name, where it is not the usual one: the
            line may go on.
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
    queued: str | None = None
    waits: JSON = None
    earlier: int = 0
    run: int = 0
    asked: bool = False
    halted: bool = False
    next_run: int | None = None
    origin: str | None = None
    levels: dict[str, int] = field(default_factory=dict)
    retry_due: JSON = None
    unread: bool = False
    ready_at: float | None = None
    beside: bool = False
    elements: int | None = None
    item: JSON = None
    opened: bool = False

    @classmethod
    def load(cls, stored: JSON) -> TaskState:
        """Read what :meth:`dump` gave; what is not known is left out.

        Raises:
            ValueError: It was not given by any version of this.
        """
        task = cls(**{key: value for key, value in stored.items() if key in _DEFAULTS})
        task.status = TaskStatus(task.status)
        task.tail = list(task.tail)
        return task

    def dump(self) -> JSON:
        """Return the cursor of the task for the store; what holds its default is left out."""
        return {
            name: list(value) if name == "tail" else value
            for name, default in _DEFAULTS.items()
            if (value := getattr(self, name)) != default
        }

    def shown(self, name: str) -> Task:
        """Return the task as readers see it.

        Args:
            name: Name of the task.
        """
        waits = self.queued is not None and self.status is TaskStatus.RUNNING
        return Task(
            name=name,
            status=TaskStatus.PENDING if waits else self.status,
            started_at=None if waits else moment(self.started_at or self.begun_at),
            finished_at=moment(self.finished_at),
            exit_code=self.exit_code,
            attempts=self.attempt,
            node=self.node,
            error=self.error,
            run=self.run,
            continued_from=self.origin,
            ready_at=moment(self.ready_at),
            waits_for=self._waits_for(),
        )

    def _waits_for(self) -> JSON:
        """Return what it waits for, as readers see it; None if for nothing that is known."""
        if self.queued is not None and self.status is TaskStatus.RUNNING:
            return {"kind": "queue", "reason": self.queued}
        if self.status not in (TaskStatus.PENDING, TaskStatus.PAUSED):
            return None
        if self.waits is None and self.retry_at is not None:
            due = Instant.load(self.retry_due)
            until = {"until": log_timestamp(int(due.wall * 1000))} if due else {}
            return {"kind": "retry", "reason": "its next attempt", **until}
        return self.waits

    def left(self, name: str) -> Attempt | None:
        """Return the attempt that is about to be forgotten; None if there is none of this run.

        Args:
            name: Name of the task.
        """
        return None if self.attempt == self.earlier else Attempt.last_of(self.shown(name))

    def begin_attempt(self, now: float, ready_at: float | None = None) -> None:
        """Forget what the attempt before left.

        Args:
            now: Seconds since the epoch.
            ready_at: Since when it could have begun.
        """
        self.attempt += 1
        self.starts = self.offset = 0
        self.begun_at, self.ready_at = now, ready_at
        self.started_at = self.finished_at = self.retry_at = self.retry_due = None
        self.exit_code = self.error = self.process = self.lost_at = self.queued = self.waits = None
        self.tail, self.levels = [], {}

    def begin_run(self, number: int) -> None:
        """Forget all earlier runs, but for how many attempts they took.

        Args:
            number: Number of the run.
        """
        fresh = TaskState(
            attempt=self.attempt,
            earlier=self.attempt,
            run=number,
            # A run that the workflow has of the task waits for what it needs.
            asked=self.asked or number > self.run,
            elements=self.elements,
            item=self.item,
        )
        for name in _DEFAULTS:
            setattr(self, name, getattr(fresh, name))


_DEFAULTS = asdict(TaskState())


def moment(seconds: float | None) -> datetime | None:
    """Return the moment of so many seconds since the epoch, in whole milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)

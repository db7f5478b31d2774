"""The digest of an execution: how it ended and why, in what fits on a screen.

Nothing here is slower for a long log: what single tasks said is counted as for any reader of theirs
(:mod:`app.services.tallies`), and what is looked through has a bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import dropwhile, islice
from typing import Final

from app.domain import (
    ALL_LEVELS,
    BEGUN,
    Execution,
    ExecutionStatus,
    Identity,
    Level,
    LogEntry,
    LogStream,
    Task,
    TaskStatus,
    reason_in,
)
from app.durations import format_duration
from app.elements import without_steps
from app.exit_codes import meaning
from app.services.access import Access
from app.services.definition_texts import DefinitionChange, DefinitionTexts
from app.services.differences import (
    LONGEST_VALUE,
    ValueChange,
    changed_values,
    cut,
    cut_entry,
    within,
)
from app.services.executions import ExecutionService
from app.services.logs import LogQuery, LogService
from app.services.steering import tells_of_cancel
from app.store.executions import Executions

MOST_FAILED: Final = 3
"""Tasks of which it is told why they failed: the first ones."""
MOST_ACTIVE: Final = 10
"""Tasks that run, or wait for something, of an execution that goes on."""
LAST_LINES: Final = 20
LOOKED_THROUGH: Final = 2000
"""Entries of a level among which the first one of a task is looked for."""
_LOOKED_THROUGH_BYTES: Final = 2 * 1024 * 1024
_MAY_BE_CANCELLED: Final = frozenset(
    {ExecutionStatus.CANCELLED, ExecutionStatus.CANCELLING, ExecutionStatus.FAILED}
)
_TRACEBACK: Final = "Traceback (most recent call last):"
"""How Python begins to say what went wrong: the kind of it comes behind the indented lines."""


@dataclass(frozen=True, slots=True)
class LastSuccess:
    """An earlier execution in which a task succeeded that failed now, and what was not the same.

    Attributes:
        task: As it is there.
        inputs: Those that differ: ``before`` there, ``after`` now.
        inputs_changed: How many do; of very many the first ones are told.
    """

    execution: Execution
    task: Task
    inputs: tuple[ValueChange, ...]
    inputs_changed: int
    definition: DefinitionChange


@dataclass(frozen=True, slots=True)
class FailedTask:
    """A task that failed.

    Attributes:
        meaning: What its exit code means by itself; empty where it means nothing.
        first_error: The first entry of its last attempt that tells of an error; None if none does.
        last_lines: What it said last, in its last attempt.
        last_success: None where none is known.
    """

    task: Task
    meaning: str
    first_error: LogEntry | None
    last_lines: tuple[LogEntry, ...]
    last_success: LastSuccess | None


@dataclass(frozen=True, slots=True)
class Digest:
    """How an execution stands, and why.

    Attributes:
        summary: One sentence that says it.
        tasks: How many tasks have each status.
        failed: The tasks that failed first; before all others what is called the cause.
        active: Of an execution that goes on: tasks that run, or say what they wait for.
        cancel: The entry of the log that tells who asked for the end; None if nobody did.
        last_lines: What the execution itself said last, of one that ended without a failed task.
    """

    execution: Execution
    summary: str
    tasks: Mapping[TaskStatus, int]
    failed: tuple[FailedTask, ...] = ()
    active: tuple[Task, ...] = ()
    cancel: LogEntry | None = None
    last_lines: tuple[LogEntry, ...] = ()

    def with_entries(self, change: Callable[[Sequence[LogEntry]], Iterable[LogEntry]]) -> Digest:
        """Return the digest with what the log says as a function gives it.

        Args:
            change: Returns entries in place of as many that follow each other.
        """

        def one(entry: LogEntry | None) -> LogEntry | None:
            return None if entry is None else next(iter(change([entry])))

        failed = tuple(
            replace(
                each,
                first_error=one(each.first_error),
                last_lines=tuple(change(each.last_lines)),
            )
            for each in self.failed
        )
        last_lines = tuple(change(self.last_lines))
        return replace(self, failed=failed, cancel=one(self.cancel), last_lines=last_lines)


class DigestService:
    """Makes digests of executions of all orchestrators.

    Args:
        service: Finds executions and says who may see them.
        logs: Reads what they said.
        executions: Finds earlier ones.
        texts: Knows from what they were launched.
        access: Knows whose executions somebody sees.
    """

    def __init__(
        self,
        service: ExecutionService,
        logs: LogService,
        executions: Executions,
        texts: DefinitionTexts,
        access: Access,
    ) -> None:
        self._service = service
        self._logs = logs
        self._executions = executions
        self._texts = texts
        self._access = access

    def get(self, execution_id: str, identity: Identity) -> Digest:
        """Make the digest of an execution.

        Raises:
            NotFound: There is no such execution for this user.
            Purged: There was one.
            UpstreamError: An orchestrator would have to be asked, and does not answer.
        """
        whole = self.of(self._service.get(execution_id, identity), identity)
        return whole.with_entries(partial(map, cut_entry))

    def of(self, execution: Execution, identity: Identity) -> Digest:
        """Make the digest of an execution that somebody may see; no entry in it is cut."""
        tasks = self._service.tasks_of(execution)
        counts = Counter(task.status for task in tasks)
        if execution.status is ExecutionStatus.SUCCESS:
            return Digest(execution, _summary_of_success(execution, counts), counts)
        failed = _failed(execution, tasks)
        told = self._told(execution, failed[:MOST_FAILED], identity)
        may_be_cancelled = execution.status in _MAY_BE_CANCELLED
        own = self._last_lines(execution, "", identity) if may_be_cancelled else ()
        cancel = next((entry for entry in own if tells_of_cancel(entry.content)), None)
        if not execution.status.final:
            summary = _summary_of_open(execution, tasks, counts)
            return Digest(execution, summary, counts, told, _active(tasks), cancel)
        last_lines = () if told else own
        summary = _summary(execution, failed)
        return Digest(execution, summary, counts, told, cancel=cancel, last_lines=last_lines)

    def _told(
        self, execution: Execution, failed: Sequence[Task], identity: Identity
    ) -> tuple[FailedTask, ...]:
        """Return why tasks failed."""
        errors = [*self._of_level(execution, Level.ERROR, identity)] if failed else []
        return tuple(self._told_of(execution, task, errors, identity) for task in failed)

    def _told_of(
        self, execution: Execution, task: Task, errors: Sequence[LogEntry], identity: Identity
    ) -> FailedTask:
        last = self._last_lines(execution, task.name, identity)
        return FailedTask(
            task,
            meaning(task.exit_code),
            self._first_error(execution, task, errors, last, identity),
            tuple(filter(_in_last_attempt(task), last)) or last,
            self._last_success(execution, task, identity),
        )

    def _last_lines(
        self, execution: Execution, task: str, identity: Identity
    ) -> tuple[LogEntry, ...]:
        query = LogQuery(0, LAST_LINES, ALL_LEVELS, task=task, tail=LAST_LINES)
        return tuple(self._entries(execution, query, identity))

    def _entries(
        self, execution: Execution, query: LogQuery, identity: Identity
    ) -> Iterator[LogEntry]:
        """Read entries, as far as they are kept, and not more of them than fit into the memory."""
        if execution.log_purged_at is not None:
            return iter(())
        return within(self._logs.entries(execution, query, identity), _LOOKED_THROUGH_BYTES)

    def _first_error(
        self,
        execution: Execution,
        task: Task,
        errors: Sequence[LogEntry],
        last: Sequence[LogEntry],
        identity: Identity,
    ) -> LogEntry | None:
        """Find the first error of the last attempt of a task.

        That is what its command calls an error; or else the first that it wrote to its standard
        error; or else what its orchestrator says.

        Args:
            execution: The execution.
            task: The task.
            errors: The first errors in the log, whichever task's they are.
            last: What the task said last.
            identity: Who asks.
        """
        is_of_attempt = _in_last_attempt(task)
        errors = [*filter(is_of_attempt, errors)]
        own = next((entry for entry in errors if entry.stream), None)
        if own is None:
            own = _said_on_stderr(
                filter(is_of_attempt, self._of_level(execution, Level.WARN, identity))
            )
        found = own or next(iter(errors), None)
        if found is None:  # there are too many before it
            found = next((e for e in last if e.level == Level.ERROR and is_of_attempt(e)), None)
        return found

    def _of_level(
        self, execution: Execution, level: Level, identity: Identity
    ) -> Iterator[LogEntry]:
        return self._entries(execution, LogQuery(0, LOOKED_THROUGH, level), identity)

    def _last_success(
        self, execution: Execution, task: Task, identity: Identity
    ) -> LastSuccess | None:
        """Find where a task succeeded last: for the same owner, or else for whom the user sees."""
        found = self._executions.last_success(task.name, execution, execution.owner)
        listed = self._access.owner_listed(identity)
        if found is None and listed != execution.owner:
            found = self._executions.last_success(task.name, execution, listed)
        if found is None:
            return None
        earlier, succeeded = found
        inputs, number = changed_values(earlier.inputs, execution.inputs)
        definition = self._texts.compare(earlier, execution)
        return LastSuccess(earlier, succeeded, inputs, number, definition)


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Return how long something took, in seconds; None where that is not known."""
    if start is None or end is None:
        return None
    return max(0.0, (end - start).total_seconds())


def _in_last_attempt(task: Task) -> Callable[[LogEntry], bool]:
    """Return what tells the entries of the last attempt of a task: by the time of its beginning."""
    since = 0 if task.started_at is None else int(task.started_at.timestamp() * 1000)
    return lambda entry: entry.task == task.name and entry.timestamp_ms >= since


def _said_on_stderr(warnings: Iterator[LogEntry]) -> LogEntry | None:
    """Return the first that a command wrote to its standard error; of a traceback what it tells."""
    written = (entry for entry in warnings if entry.stream == LogStream.STDERR)
    first = next(written, None)
    if first is None or not first.content.startswith(_TRACEBACK):
        return first
    return next(dropwhile(lambda entry: entry.content[:1] in ("", " "), written), first)


def _failed(execution: Execution, tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that failed, the first ones first; before all others what was the cause."""
    cause = reason_in(execution.error).partition("\n")[0]
    names = without_steps([task.name for task in tasks if task.status is TaskStatus.FAILED])
    failed = [task for task in tasks if task.name in names and task.status is TaskStatus.FAILED]
    return sorted(
        failed,
        key=lambda task: (
            f"'{task.name}'" not in cause,
            float("inf") if task.finished_at is None else task.finished_at.timestamp(),
        ),
    )


def _active(tasks: Sequence[Task]) -> tuple[Task, ...]:
    names = without_steps([task.name for task in tasks if task.status in BEGUN])
    running = [task for task in tasks if task.name in names and task.status in BEGUN]
    waiting = [task for task in tasks if task.waits_for is not None and task.status not in BEGUN]
    return tuple(islice([*running, *waiting], MOST_ACTIVE))


def _after(execution: Execution) -> str:
    took = seconds_between(execution.started_at, execution.finished_at)
    return "" if took is None else f" after {format_duration(round(took, 3))}"


def _summary(execution: Execution, failed: Sequence[Task]) -> str:
    """Return a sentence on how an execution ended that did not succeed."""
    word = "Failed" if execution.status is ExecutionStatus.FAILED else "Cancelled"
    reason = reason_in(execution.error)
    more = ""
    if failed:
        first, *others = failed
        reason = f"task '{first.name}': {reason_in(first.error) or 'it does not say why'}"
        more = f" ({len(others)} more failed)" if others else ""
    text = f"{word}{_after(execution)}{more}"
    return f"{text}: {cut(reason.rstrip('.'), LONGEST_VALUE)}." if reason else f"{text}."


def _summary_of_success(execution: Execution, counts: Mapping[TaskStatus, int]) -> str:
    failed = counts.get(TaskStatus.FAILED, 0)
    but = f", although {_tasks(failed)} failed" if failed else ""
    return f"Succeeded{_after(execution)}{but}."


def _summary_of_open(
    execution: Execution, tasks: Sequence[Task], counts: Mapping[TaskStatus, int]
) -> str:
    """Return a sentence on how an execution stands that has not ended."""
    word = {
        ExecutionStatus.PENDING: "Not begun yet",
        ExecutionStatus.RUNNING: "Running",
        ExecutionStatus.PAUSED: "Paused",
        ExecutionStatus.CANCELLING: "Being cancelled",
        ExecutionStatus.UNKNOWN: "Not known",
    }[execution.status]
    if execution.error:
        return f"{word}: {cut(reason_in(execution.error).rstrip('.'), LONGEST_VALUE)}."
    if not tasks:
        return f"{word}."
    done = sum(number for status, number in counts.items() if status.final)
    running = sum(counts.get(status, 0) for status in BEGUN)
    text = f"{word}: {done} of {_tasks(len(tasks))} ended, {running} running"
    failed = counts.get(TaskStatus.FAILED, 0)
    return f"{text}, {failed} failed." if failed else f"{text}."


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{number} tasks"

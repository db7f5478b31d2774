"""Following one task of a workflow that stands, from before its start to its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from threading import Lock
from typing import Final

from app.domain import ALL_LEVELS, Execution, ExecutionSummary, Identity, Task
from app.errors import NotAuthenticated, NotFound, UpstreamError
from app.services.access import Access, Caller, Watch
from app.services.follow import (
    Changed,
    Ended,
    Event,
    Expired,
    FollowQuery,
    FollowService,
    Heartbeat,
    Moved,
    Rhythm,
    StatusChanged,
)
from app.services.idle import Idle
from app.services.standing import StandingService
from app.store.changes import Changes, Subscription
from app.store.executions import Executions

_TOPIC: Final = "standing:"


class StandingFollowService:
    """Follows tasks of workflows that stand, whichever their current execution is.

    Args:
        standing: Finds them, and says who may see them.
        executions: The executions in the store.
        follow: Follows one execution.
        changes: Wakes who waits.
        access: Checks now and then that a reader may still read.
        heartbeat_seconds: Longest silence.
    """

    def __init__(
        self,
        standing: StandingService,
        executions: Executions,
        follow: FollowService,
        changes: Changes,
        *,
        access: Access,
        heartbeat_seconds: float,
    ) -> None:
        self._standing = standing
        self._executions = executions
        self._follow = follow
        self._changes = changes
        self._access = access
        self._heartbeat_seconds = heartbeat_seconds
        self._lock = Lock()
        self._awaited: Counter[str] = Counter()
        changes.observe(self._on_change)

    def steps(
        self, name: str, task: str, caller: Caller, after: int | None = None
    ) -> Generator[Event | Idle, None, None]:
        """Begin to follow; what cannot be followed fails here, before the first event.

        Args:
            name: The workflow.
            task: The task.
            caller: Who follows; asked again now and then.
            after: Place in the journal of the current execution of the last entry that the reader
                has; one beyond its end is of an earlier execution, and does not count.

        Returns:
            The events of the task's run, of which the last is ``Ended`` when the task has ended;
            before its begin they are waited for. Between them, ``Idle``, when nothing is to do.

        Raises:
            NoSuchWorkflow, NoSuchTask: There is none that this user may see.
        """
        workflow, _ = self._standing.located(name, task, caller())
        return self._events(workflow.workflow_id, (name, task), caller, after)

    def _events(
        self, workflow_id: str, place: tuple[str, str], caller: Caller, after: int | None
    ) -> Generator[Event | Idle, None, None]:
        watch, rhythm = self._access.watch(caller(), caller), Rhythm(self._heartbeat_seconds)
        with self._await(workflow_id) as subscription:
            while not self._changes.closing:
                try:
                    found = self._begun(*place, watch.identity)
                except NotFound as exc:
                    yield Expired(exc.message)
                    return
                except UpstreamError:
                    break
                if found is not None:
                    if (yield from self._run(found, place, caller, after)):
                        return
                    after = None
                    rhythm.spoke()
                    if self._begun(*place, watch.identity) not in (None, found):
                        continue
                if (end := _check(watch)) is not None:
                    yield end
                    return
                yield Idle(subscription, min(rhythm.silence_left(), watch.seconds_left()))
                subscription.has_changed()
                if not rhythm.silence_left() and not self._changes.closing:
                    yield Heartbeat()
                    rhythm.spoke()
        yield Moved(0)

    def _begun(self, name: str, task: str, identity: Identity) -> tuple[str, str] | None:
        """Return the execution in which a task runs, ran or may run yet, and the task's id there.

        Returns:
            None where it runs in none: there is none, or it has ended without the task.
        """
        workflow, found = self._standing.located(name, task, identity)
        execution = workflow.execution
        if execution is None or found.state is None:
            return None
        if found.state.continued_from is not None and _has_run(found.state):
            return found.state.continued_from, found.task_id
        if execution.status.final and not _has_run(found.state):
            return None
        return execution.id, found.task_id

    def _run(
        self, found: tuple[str, str], place: tuple[str, str], caller: Caller, after: int | None
    ) -> Generator[Event | Idle, None, bool]:
        """Follow a task in one execution.

        Returns:
            Whether that was all; False when the execution has ended without the task.
        """
        execution_id, task_id = found
        get = partial(self._get, execution_id, place[0])
        told = get(caller())
        beyond = after is not None and after >= told.log_total
        query = FollowQuery(ALL_LEVELS, after=None if beyond else after, task=task_id)
        end: int | None = None
        with closing(self._follow.steps(execution_id, caller, query, get=get)) as steps:
            for event in steps:
                match event:
                    case StatusChanged(execution=Execution() as seen) | Changed(execution=seen):
                        # All that the log held then is told before the next Idle.
                        told, end = seen, self._end(seen, task_id)
                        yield event
                    case Idle() if end is not None and end <= told.log_total:
                        yield Ended(told.status, told.log_total)
                        return True
                    case Ended():
                        if end is not None:
                            yield event
                        return end is not None
                    case Moved() | Expired():
                        yield event
                        return True
                    case _:
                        yield event
        return True

    def _get(self, execution_id: str, name: str, identity: Identity) -> Execution:
        """Get an execution of a workflow that a user may see, whoever began it."""
        self._standing.get(name, identity)
        return self._follow.reads.get(execution_id)

    def _end(self, execution: ExecutionSummary, task_id: str) -> int | None:
        """Return a place in the log behind all that a task wrote; None while it may write more."""
        for task in self._follow.tasks(execution):
            if task.name == task_id and task.status.final and _has_run(task):
                # Read after the task, which may be further than the change that woke its reader.
                return self._follow.reads.get(execution.id).log_total
        return None

    @contextmanager
    def _await(self, workflow_id: str) -> Iterator[Subscription]:
        """Stand in line for changes of executions of a workflow."""
        with self._lock:
            self._awaited[workflow_id] += 1
        try:
            with self._changes.subscribe(_TOPIC + workflow_id) as subscription:
                yield subscription
        finally:
            with self._lock:
                self._awaited[workflow_id] -= 1
                self._awaited += Counter()  # leaves out those that are 0

    def _on_change(self, ids: Collection[str] | None) -> None:
        with self._lock:
            awaited = set(self._awaited)
        if not awaited:
            return
        if ids is None:
            changed = awaited
        else:
            changed = {each.workflow_id for each in self._executions.get_many(ids)} & awaited
        if changed:
            self._changes.publish([_TOPIC + each for each in changed])


def _has_run(task: Task) -> bool:
    return task.started_at is not None or task.attempts > 0


def _check(watch: Watch) -> Expired | None:
    """Check the reader if that is due; return the end of the stream if they must go."""
    try:
        watch.check()
    except NotAuthenticated as exc:
        return Expired(exc.message)
    return None

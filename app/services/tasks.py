"""Single tasks: start, stop and restart them; and executions that go on from ended ones."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass

from app.clients.orchestrator import Orchestrator, continuer, task_controller
from app.domain import (
    BEGUN,
    ControlledTask,
    DesiredState,
    DesiredTaskState,
    DrivenExecution,
    Execution,
    ExecutionStatus,
    Identity,
    Permission,
    Role,
    TaskStatus,
)
from app.elements import with_elements
from app.errors import Busy, Conflict, NotAllowed, NotFound
from app.identity.permissions import require
from app.services.access import is_theirs
from app.services.executions import ExecutionService
from app.services.steering import SteeringService, requested
from app.store.launches import Continued, Intent, Launches, UsedKey
from app.store.steering import SteeredExecutions


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a request for a task to run.

    Attributes:
        execution: In which it will: the one that was named, or one that goes on from it.
        is_new: Whether it is one that goes on from it.
    """

    execution: Execution
    is_new: bool


class TaskService:
    """Starts, stops and restarts single tasks, and lets ended executions go on in new ones.

    What is wanted is written down, and the conductor makes it so. An ended execution never changes:
    what is to run of it again does so in an execution that continues it, and takes over the tasks
    that do not. Each goes on in one other at most, as both have one folder of files.

    Args:
        executions: The executions in the store.
        launches: Writes executions down.
        known: Finds the executions that somebody may know of.
        steering: Knows the orchestrators of executions.
        most_open: Most executions of a user of some roles that may not have ended.
    """

    def __init__(
        self,
        executions: SteeredExecutions,
        launches: Launches,
        *,
        known: ExecutionService,
        steering: SteeringService,
        most_open: Callable[[frozenset[Role]], int | None] = lambda _: None,
    ) -> None:
        self._executions = executions
        self._launches = launches
        self._known = known
        self._steering = steering
        self._most_open = most_open

    def start(
        self, execution_id: str, task: str, identity: Identity, *, key: str | None = None
    ) -> Asked:
        """Let a task run that does not: at once, whatever it waits for, as it was asked for.

        Raises:
            NotFound: There is no such execution for this user, or no such task.
            NotAllowed: The caller lacks the permission.
            CapabilityMissing: Its orchestrator cannot do that.
            Conflict: The task runs, or a run of it was asked for already; the execution is paused
                or being cancelled, or goes on in another one; the key was used for another request.
            LimitExceeded: The owner has as many executions that have not ended as they may.
        """
        return self._run("start", execution_id, task, identity, key=key)

    def restart(
        self, execution_id: str, task: str, identity: Identity, *, key: str | None = None
    ) -> Asked:
        """Let a task run once more; what runs of it is ended before.

        Raises:
            NotFound, NotAllowed, CapabilityMissing, Conflict, LimitExceeded: As :meth:`start`; that
                the task runs is no conflict.
        """
        return self._run("restart", execution_id, task, identity, key=key)

    def stop(self, execution_id: str, task: str, identity: Identity) -> None:
        """End a task, with all that it started; asking twice is fine.

        What needs it does not run. It is no failure, and takes no retry.

        Raises:
            NotFound: There is no such execution for this user, or no such task.
            NotAllowed: The caller lacks the permission.
            CapabilityMissing: Its orchestrator cannot do that.
            Conflict: The task has ended by itself, or the execution is being cancelled.
        """
        execution, behind = self._controlled(execution_id, identity)
        if execution.status.final:
            status = self._executions.task_statuses(execution).get(task)
            if status is None:
                raise _no_task(task)
            if status is TaskStatus.CANCELLED:
                return
            raise Conflict(f"The execution has ended already, with status {execution.status}.")
        task_controller(behind).control_task(execution, task, DesiredTaskState.STOPPED)
        if not self._executions.desire_task(
            execution,
            task,
            DesiredTaskState.STOPPED,
            allows=_may_stop,
            remark=requested(f"Stop of '{task}'", identity),
        ):
            self._refuse_cancelled(execution)
            self.stop(execution_id, task, identity)  # it has ended meanwhile

    def retry(self, execution_id: str, identity: Identity, *, key: str | None = None) -> Execution:
        """Let an ended execution go on: what succeeded stays, all other tasks run.

        Returns:
            The execution that goes on from it.

        Raises:
            NotFound: There is no such execution for this user.
            NotAllowed: It is somebody else's, and the caller is no operator.
            CapabilityMissing: Its orchestrator cannot do that.
            Conflict: It has not ended, nothing is left to do, or it goes on in another one already;
                the key was used for another request.
            LimitExceeded: The owner has as many executions that have not ended as they may.
        """
        execution = self._driven(execution_id, identity)
        if not is_theirs(execution.owner, identity):
            raise NotAllowed("Only its owner and operators may retry an execution.")
        used = _used(identity, key, "retry", execution.id)
        if (earlier := self._earlier(used)) is not None:
            return earlier
        continuer(self._steering.orchestrator(execution))
        statuses = self._executions.task_statuses(execution)
        run = {name for name, status in statuses.items() if status is not TaskStatus.SUCCESS}
        if execution.status is ExecutionStatus.SUCCESS or (execution.status.final and not run):
            raise Conflict("Nothing is left to do: each task has succeeded, or may have failed.")
        return self._go_on(execution, run, identity, used)

    def go_on(
        self,
        execution_id: str,
        run: Collection[str],
        identity: Identity,
        *,
        key: str | None = None,
    ) -> Execution:
        """Let an ended execution go on in a new one of the same owner.

        Args:
            execution_id: The one that has ended.
            run: Names of the tasks that run again, each after those of them that it needs. All
                others stay as they came to be, with their outputs, and count as given.
            identity: Who asks for it.
            key: The same key with the same request gives the same execution again.

        Returns:
            The new execution.

        Raises:
            NotFound: There is no such execution for this user, or no such task.
            NotAllowed: The caller lacks the permission.
            CapabilityMissing: Its orchestrator cannot do that.
            Conflict: It has not ended, cannot be continued any more, or goes on in another one
                already; the key was used for another request.
            LimitExceeded: The owner has as many executions that have not ended as they may.
        """
        execution, _ = self._controlled(execution_id, identity)
        if not run:
            raise Conflict("Nothing is to run.")
        used = _used(identity, key, "go on", execution.id, *sorted(run))
        return self._earlier(used) or self._go_on(execution, run, identity, used)

    def _go_on(
        self,
        execution: DrivenExecution,
        run: Collection[str],
        identity: Identity,
        used: UsedKey | None,
    ) -> Execution:
        behind = continuer(self._steering.orchestrator(execution))
        if not execution.status.final:
            raise Conflict(f"The execution has not ended, it is in state {execution.status}.")
        names = self._executions.task_statuses(execution)
        for name in run:
            if name not in names:
                raise _no_task(name)
        run = with_elements(run, names)
        again = [name for name in names if name in run]
        carried = behind.carry_over(execution, again, [name for name in names if name not in run])
        intent = Intent(
            execution_id=str(uuid.uuid4()),
            orchestrator=execution.orchestrator,
            workflow_id=execution.workflow_id,
            workflow_name=execution.workflow_name,
            owner=execution.owner,
            inputs=execution.inputs,
            used=used,
            reference=execution.reference,
            workflow_version=execution.workflow_version,
            name=execution.name,
            labels=execution.labels,
            most_open=self._most_open(identity.roles),
            continued=Continued(execution.id, again, carried),
        )
        return self._launches.create(intent)[0]

    def _run(
        self, verb: str, execution_id: str, task: str, identity: Identity, *, key: str | None
    ) -> Asked:
        execution, behind = self._controlled(execution_id, identity)
        used = _used(identity, key, verb, execution.id, task)
        earlier = self._earlier(used)
        if earlier is not None:
            return Asked(earlier, earlier.id != execution.id)
        if execution.status.final:
            return Asked(self._go_on(execution, {task}, identity, used), is_new=True)
        if execution.desired is DesiredState.PAUSE:
            raise Conflict("The execution is paused: nothing of it begins before it is resumed.")
        task_controller(behind).control_task(execution, task, DesiredTaskState.RUNNING)
        if self._executions.desire_task(
            execution,
            task,
            DesiredTaskState.RUNNING,
            anew=True,
            allows=_may_start if verb == "start" else _may_restart,
            key=used,
            remark=requested(f"{verb.capitalize()} of '{task}'", identity),
        ):
            return Asked(execution, is_new=False)
        if self._earlier(used) is None:
            self._refuse_cancelled(execution)
        # It has ended meanwhile, or the same request came in at the same time.
        return self._run(verb, execution_id, task, identity, key=key)

    def _controlled(
        self, execution_id: str, identity: Identity
    ) -> tuple[DrivenExecution, Orchestrator]:
        """Get an execution whose tasks the user may control, and its orchestrator."""
        execution = self._driven(execution_id, identity)
        require(identity, Permission.TASKS_STEER)
        behind = self._steering.orchestrator(execution)
        task_controller(behind)
        return execution, behind

    def _driven(self, execution_id: str, identity: Identity) -> DrivenExecution:
        return self._executions.get(self._known.get(execution_id, identity).id)

    def _earlier(self, used: UsedKey | None) -> Execution | None:
        """Find what the same request led to before."""
        return None if used is None else self._launches.launched_with(used)

    def _refuse_cancelled(self, execution: DrivenExecution) -> None:
        """Refuse what is wanted of an execution whose end was asked for.

        Raises:
            Conflict: That is so.
        """
        now = self._executions.get(execution.id)
        if not now.status.final:
            raise Conflict("The execution is being cancelled.")


def _may_start(task: ControlledTask) -> bool:
    if task.status in BEGUN and not task.is_stopped:
        raise Busy("The task runs already.")
    return _may_restart(task)


def _may_restart(task: ControlledTask) -> bool:
    if task.is_awaited:
        raise Busy("A run of the task was asked for already, and has not begun yet.")
    return True


def _may_stop(task: ControlledTask) -> bool:
    if task.is_stopped and not task.status.final:
        return False
    if task.status is TaskStatus.CANCELLED and not task.is_awaited:
        return False
    if task.status.final and not task.is_awaited:
        raise Conflict(f"The task has ended already, with status {task.status}.")
    return True


def _no_task(name: str) -> NotFound:
    return NotFound(f"This execution has no task '{name}'.")


def _used(identity: Identity, key: str | None, *asked: str) -> UsedKey | None:
    """Return the key of a request, with a digest of what was asked."""
    if key is None:
        return None
    digest = hashlib.sha256(json.dumps(["tasks", *asked]).encode()).hexdigest()
    return UsedKey(identity.username, key, digest)

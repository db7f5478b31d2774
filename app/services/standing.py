"""Workflows that are a definition and a run in one, made of tasks that are one command each.

Such a workflow *stands*: it has a name that is taken once and for all, a definition that the engine
offers like any other, and a current execution, the last one that its maker or an operator began.
What others launch of the definition are executions of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Final

from app.clients.orchestrator import Keeping, Uploader
from app.domain import (
    CommandTask,
    DefinitionSource,
    ExecutionSummary,
    Identity,
    NewStandingWorkflow,
    Permission,
    StandingTask,
    StandingWorkflow,
    TaskStatus,
)
from app.engine.composing import (
    below,
    compose,
    composed,
    needs_of,
    path_fault,
    task_ids,
    workflow_ids,
)
from app.errors import (
    Busy,
    CircularDependency,
    Conflict,
    FieldError,
    InvalidDefinition,
    MissingDependency,
    NameTaken,
    NoSuchTask,
    NoSuchWorkflow,
    NotFound,
    NotRunnable,
    Purged,
    Superseded,
    Taken,
    TaskOpen,
    UpstreamUnreachable,
)
from app.identity.permissions import is_allowed, require
from app.isolation import Isolated, OverBudget
from app.services.access import is_theirs
from app.services.launching import LaunchService
from app.services.tasks import TaskService
from app.services.workflows import WorkflowService
from app.store.standing import Outdated, StandingWorkflows, adding, deleting

_INLINE_BYTES: Final = 2048
_COMPOSE: Final = f"{compose.__module__}:{compose.__name__}"
_FAULTY: Final = "The workflow has faults."
_JSON: Final = "application/json"
_MOST_TRIES: Final = 20


class StandingService:
    """Makes, reads and runs workflows that stand.

    Args:
        standing: Those in the store.
        workflows: Takes their definitions.
        launching: Launches them.
        isolated: Where the words of commands are told apart.
        tasks: Starts and stops single ones.
        is_driven: Whether any conductor is at work.
    """

    def __init__(
        self,
        standing: StandingWorkflows,
        workflows: WorkflowService,
        launching: LaunchService,
        isolated: Isolated,
        *,
        tasks: TaskService,
        is_driven: Callable[[], bool] = lambda: True,
    ) -> None:
        self._standing = standing
        self._workflows = workflows
        self._launching = launching
        self._isolated = isolated
        self._controls = tasks
        self._is_driven = is_driven

    def all(self, identity: Identity) -> list[StandingWorkflow]:
        """List a user's own, and for operators all."""
        everybody = is_allowed(identity, Permission.EXECUTIONS_ALL)
        return self._standing.all(None if everybody else identity.username)

    def get(self, name: str, identity: Identity) -> StandingWorkflow:
        """Find one by name.

        Raises:
            NoSuchWorkflow: There is none that this user may see.
        """
        found = self._standing.find(name)
        if found is None or not is_theirs(found.owner, identity):
            raise NoSuchWorkflow(name)
        return found

    def tasks(self, name: str, identity: Identity) -> list[StandingTask]:
        """List the tasks of one as they stand in its current execution, as they were given.

        Raises:
            NoSuchWorkflow: There is none that this user may see.
        """
        return self._standing.tasks(self.get(name, identity))

    def task(self, name: str, task: str, identity: Identity) -> StandingTask:
        """Find one task.

        Raises:
            NoSuchWorkflow: There is no such workflow that this user may see.
            NoSuchTask: It has no such task, or not any more.
        """
        return self.located(name, task, identity)[1]

    def located(
        self, name: str, task: str, identity: Identity
    ) -> tuple[StandingWorkflow, StandingTask]:
        """Find one task as it stands in the current execution, with its workflow.

        Raises:
            NoSuchWorkflow, NoSuchTask: As :meth:`task`.
        """
        workflow = self.get(name, identity)
        return workflow, _named(self._standing.tasks(workflow), name, task)

    def create(
        self,
        name: str,
        working_dir: str | None,
        tasks: Sequence[CommandTask],
        identity: Identity,
    ) -> None:
        """Make a workflow, all of it or nothing.

        Args:
            name: Its name.
            working_dir: Its folder, below one of its own unless absolute; None for that one.
            tasks: Its tasks; their folders are below it unless absolute.
            identity: Who makes it, and owns it.

        Raises:
            NotAllowed: The user lacks the permission.
            NameTaken: There is one of this name, or was.
            InvalidDefinition: With every fault of the tasks.
            MissingDependency, CircularDependency: Their inputs are at fault.
            LimitExceeded: Too many definitions of this user wait to be checked.
            Conflict: There are too many uploads already.
        """
        require(identity, Permission.WORKFLOWS_WRITE)
        if fault := path_fault(working_dir or ""):
            raise InvalidDefinition(_FAULTY, fields=[FieldError("working_dir", fault)])
        if self._standing.is_taken(name):
            raise NameTaken(name)
        orchestrator, taker = self._workflows.taker()
        for workflow_id in workflow_ids(name):
            folder = below(taker.home_of(workflow_id), working_dir or "")
            placed = [_placed(task, folder) for task in tasks]
            new = NewStandingWorkflow(
                name, workflow_id, orchestrator, identity.username, folder, placed
            )
            try:
                self._upload(taker, new, identity)
            except NameTaken:
                raise
            except Taken:  # the id, by a definition of another name
                continue
            return
        raise NameTaken(name)

    def start(self, name: str, identity: Identity) -> None:
        """Let all tasks run, in a new execution.

        Where the last one came to its end without a fault, but not all of them ran (since single
        ones were asked for by name), the new one goes on from it, and runs the others only.

        Raises:
            NoSuchWorkflow: There is none that this user may see.
            NotRunnable: It runs already, or has no tasks.
            MissingDependency, CircularDependency: What is left of its tasks cannot be run.
            LimitExceeded: The user has as many executions that have not ended as they may.
            UpstreamUnreachable: No conductor is at work, so nothing would begin.
        """
        for _ in range(_MOST_TRIES):
            workflow = self.get(name, identity)
            self._require_conductor()
            tasks = self._runnable(workflow)
            needs_of([task.spec for task in tasks])
            left = _left_to_run(tasks)
            try:
                if workflow.execution is None or left is None:
                    self._launch(workflow, identity)
                else:
                    owner = _owner(workflow.execution, identity)
                    self._controls.go_on(workflow.execution.id, left, owner)
            except (Outdated, Superseded, Purged):
                continue
            return
        raise _busy(name)

    def start_task(self, name: str, task: str, identity: Identity) -> None:
        """Let one task run that does not: at once, whatever it waits for; it starts no other.

        Raises:
            NoSuchWorkflow, NoSuchTask: As :meth:`task`.
            NotAllowed: The user lacks the permission.
            TaskOpen: It runs, or is about to.
            Conflict: The execution is paused, or being cancelled.
            LimitExceeded: The user has as many executions that have not ended as they may.
            UpstreamUnreachable: As :meth:`start`.
        """
        self._run_task(self._controls.start, name, task, identity)

    def restart_task(self, name: str, task: str, identity: Identity) -> None:
        """Let one task run once more; what runs of it is ended before. It starts no other.

        Raises:
            NoSuchWorkflow, NoSuchTask, NotAllowed, Conflict, LimitExceeded, UpstreamUnreachable: As
                :meth:`start_task`.
            TaskOpen: A run of it was asked for that has not begun.
        """
        self._run_task(self._controls.restart, name, task, identity)

    def stop_task(self, name: str, task: str, identity: Identity) -> None:
        """End one task with all that it started; one whose turn is yet to come never begins.

        Of one that has ended, or of which nothing is to run, nothing changes.

        Raises:
            NoSuchWorkflow, NoSuchTask: As :meth:`task`.
            NotAllowed: The user lacks the permission.
            Conflict: The execution is being cancelled.
        """
        require(identity, Permission.TASKS_STEER)
        workflow, found = self.located(name, task, identity)
        execution = workflow.execution
        if execution is None or execution.status.final:
            return
        try:
            self._controls.stop(execution.id, found.task_id, _owner(execution, identity))
        except Conflict:
            if not self._has_ended(name, task, identity):
                raise

    def _has_ended(self, name: str, task: str, identity: Identity) -> bool:
        """Return whether a task has come to its end, so that there is nothing to stop."""
        state = self.task(name, task, identity).state
        return state is None or state.status.final

    def _run_task(
        self, run: Callable[[str, str, Identity], object], name: str, task: str, identity: Identity
    ) -> None:
        require(identity, Permission.TASKS_STEER)
        for _ in range(_MOST_TRIES):
            workflow, found = self.located(name, task, identity)
            self._require_conductor()
            execution = workflow.execution
            try:
                if execution is None:
                    self._launch(workflow, identity, only=[found.task_id])
                else:
                    run(execution.id, found.task_id, _owner(execution, identity))
            except Busy:
                raise TaskOpen(name, task) from None
            except (Outdated, Superseded, Purged):
                continue
            return
        raise _busy(name)

    def _require_conductor(self) -> None:
        if not self._is_driven():
            text = "No conductor gave a sign of life lately, so nothing would begin."
            raise UpstreamUnreachable(text)

    def _launch(
        self, workflow: StandingWorkflow, identity: Identity, only: Sequence[str] | None = None
    ) -> None:
        try:
            self._launching.launch(
                workflow.workflow_id,
                None,
                identity,
                orchestrator=workflow.orchestrator,
                version=workflow.version,
                only=only,
            )
        except NotFound:  # its definition is not offered, as it cannot be run as a whole
            needs_of([task.spec for task in self._standing.tasks(workflow)])
            raise NoSuchWorkflow(workflow.name) from None

    def delete(self, name: str, task: str, identity: Identity) -> None:
        """Delete a task that does not run; its record stays, and nobody sees it any more.

        What is left is offered as the definition of the workflow as long as it can be run.

        Raises:
            NotAllowed: The user lacks the permission.
            NoSuchWorkflow, NoSuchTask: As :meth:`task`.
            TaskOpen: It runs, or is yet to run in the current execution.
        """
        require(identity, Permission.WORKFLOWS_WRITE)
        for _ in range(_MOST_TRIES):
            workflow = self.get(name, identity)
            tasks = self._standing.tasks(workflow)
            gone = _named(tasks, name, task)
            left = [each.spec for each in tasks if each is not gone]
            along = deleting(workflow, gone)
            taker = self._workflows.taker_named(workflow.orchestrator)
            try:
                if _is_sound(left):
                    document = self._document(workflow.workflow_id, name, left, workflow.owner)
                    keeping = Keeping(workflow.owner, along)
                    source = DefinitionSource(document, _JSON)
                    taker.upload(source, workflow.workflow_id, identity, keeping=keeping)
                else:
                    taker.withdraw(workflow.workflow_id, along)
            except Outdated:
                continue
            return
        raise _busy(name)

    def _runnable(self, workflow: StandingWorkflow) -> list[StandingTask]:
        execution = workflow.execution
        if execution is not None and not execution.status.final:
            raise NotRunnable(workflow.name, runs=True)
        tasks = self._standing.tasks(workflow)
        if not tasks:
            raise NotRunnable(workflow.name, runs=False)
        return tasks

    def _upload(self, taker: Uploader, new: NewStandingWorkflow, identity: Identity) -> None:
        along = adding(new, task_ids([task.name for task in new.tasks]))
        if not new.tasks:  # there is no such definition
            self._standing.add(new.workflow_id, along)
            return
        document = self._document(new.workflow_id, new.name, new.tasks, new.owner)
        source = DefinitionSource(document, _JSON)
        taker.upload(source, None, identity, keeping=Keeping(new.owner, along))

    def _document(
        self, workflow_id: str, name: str, tasks: Sequence[CommandTask], owner: str
    ) -> str:
        asked = {"id": workflow_id, "name": name, "tasks": [asdict(task) for task in tasks]}
        argument = json.dumps(asked).encode()
        if len(argument) <= _INLINE_BYTES:  # takes less than starting a process
            return composed(compose(argument))
        try:
            outcome = self._isolated.run(owner, _COMPOSE, argument)
        except OverBudget:
            raise InvalidDefinition("The workflow takes too long to check.") from None
        return composed(outcome)


def _left_to_run(tasks: Sequence[StandingTask]) -> list[str] | None:
    """Return which tasks have not run, where only those are to; None where all are to run again.

    That is so where no task was at fault or stopped, and some were never begun.
    """
    states = {task.task_id: task.state.status for task in tasks if task.state is not None}
    left = [name for name, status in states.items() if status is not TaskStatus.SUCCESS]
    undone = all(states[name] in (TaskStatus.SKIPPED, TaskStatus.PENDING) for name in left)
    return left if left and undone else None


def _owner(execution: ExecutionSummary, identity: Identity) -> Identity:
    """Return a user as the owner of the execution of a workflow that they may run."""
    return replace(identity, username=execution.owner)


def _named(tasks: Sequence[StandingTask], workflow: str, name: str) -> StandingTask:
    for task in tasks:
        if task.spec.name == name:
            return task
    raise NoSuchTask(workflow, name)


def _is_sound(tasks: Sequence[CommandTask]) -> bool:
    """Return whether what is left of a workflow can be run."""
    try:
        needs_of(tasks)
    except (MissingDependency, CircularDependency):
        return False
    return bool(tasks)


def _placed(task: CommandTask, folder: str) -> CommandTask:
    """Return a task with the folders in which it really runs, and leaves what it prints."""
    return replace(
        task,
        working_dir=below(folder, task.working_dir or ""),
        log_dir=below(folder, task.name),
    )


def _busy(name: str) -> Conflict:
    return Conflict(f"The workflow '{name}' is changed by others all the time; try again.")

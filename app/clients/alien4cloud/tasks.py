"""The tasks of an execution: its steps, as far as Alien4Cloud tells of them.

Source: Alien4Cloud 3.8 REST, section 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.clients.alien4cloud.model import Progress, TaskRecord, moment
from app.clients.alien4cloud.statuses import STEP, TASK
from app.clients.alien4cloud.topology import WorkflowRecord
from app.domain import ExecutionStatus, Task, TaskStatus

_BEGUN = frozenset(TaskStatus) - {TaskStatus.PENDING}


@dataclass(frozen=True, slots=True)
class Steps:
    """What is known of the steps: a status, where there is one, and the tasks of each."""

    statuses: Mapping[str, TaskStatus]
    tasks: Mapping[str, Sequence[TaskRecord]]


def from_progress(progress: Progress) -> Steps:
    """Read the steps of the latest execution of a deployment, which are told as such."""
    statuses = {
        step: STEP.get(word, TaskStatus.RUNNING) for step, word in progress.statuses.items()
    }
    return Steps(statuses, progress.tasks)


def from_tasks(records: Iterable[TaskRecord], workflow: WorkflowRecord) -> Steps:
    """Derive the steps of an older execution from its tasks, which do not name their step.

    A task whose step is not clear is called by its node and operation.
    """
    tasks: dict[str, list[TaskRecord]] = {}
    for record in records:
        name = workflow.step_of(record.node, record.operation)
        tasks.setdefault(name or f"{record.node}.{record.operation}", []).append(record)
    return Steps({step: _joint_status(found) for step, found in tasks.items()}, tasks)


def _joint_status(records: Iterable[TaskRecord]) -> TaskStatus:
    """Sum up the instances of a step: one that runs, then one that went wrong, decides."""
    found = {TASK.get(record.status, TaskStatus.RUNNING) for record in records}
    order = (TaskStatus.RUNNING, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SUCCESS)
    return next(status for status in order if status in found)


def tasks_of(workflow: WorkflowRecord, steps: Steps, status: ExecutionStatus) -> tuple[Task, ...]:
    """Return the tasks in the order of the workflow, then those that it does not know.

    Args:
        workflow: The workflow; empty where the topology is gone.
        steps: What is known of its steps.
        status: Status of the execution: when it has ended, no task is left open.
    """
    statuses = _with_silent_steps(workflow, dict(steps.statuses), status)
    result = []
    for name, task_status in statuses.items():
        records = steps.tasks.get(name, ())
        times = [r.scheduled_ms for r in records if r.scheduled_ms is not None]
        details = [r.details for r in records if r.details]
        task = Task(
            name=name,
            status=_closed(task_status, status),
            started_at=moment(min(times, default=None)),
            attempts=int(task_status in _BEGUN),
            error=details[0] if details else None,
        )
        result.append(task)
    return tuple(result)


def _with_silent_steps(
    workflow: WorkflowRecord, known: dict[str, TaskStatus], status: ExecutionStatus
) -> dict[str, TaskStatus]:
    """Add the steps that have not begun, and those that never report, such as set-state steps.

    A silent step is done when one that needs it has begun, or the workflow has succeeded.
    """
    statuses: dict[str, TaskStatus] = {}
    waited_for: set[str] = set()  # by a step that has begun
    for step in reversed(workflow.steps):  # those that need a step come before it
        done = status is ExecutionStatus.SUCCESS or (
            step.name in waited_for and step.kind != "operation"
        )
        default = TaskStatus.SUCCESS if done else TaskStatus.PENDING
        statuses[step.name] = known.pop(step.name, default)
        if statuses[step.name] in _BEGUN:
            waited_for.update(step.needs)
    return {step.name: statuses[step.name] for step in workflow.steps} | known


def _closed(task: TaskStatus, execution: ExecutionStatus) -> TaskStatus:
    """End what its execution left open."""
    if task.final or not execution.final:
        return task
    if task is TaskStatus.PENDING:
        return TaskStatus.SKIPPED
    return TaskStatus(execution.value)


def progress_of(tasks: Sequence[Task]) -> float:
    """Return the share of the tasks that have ended, 0 to 1."""
    return sum(task.status.final for task in tasks) / len(tasks) if tasks else 0.0

"""What an execution takes over of an ended one from which it goes on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from app.domain import BEGUN, Carried, DrivenExecution, TaskStatus
from app.engine.progress import first_cursor, version_of
from app.engine.task_state import TaskState


def carry_over(
    execution: DrivenExecution,
    tasks: Mapping[str, TaskState],
    run: Collection[str],
    keep: Collection[str],
) -> Carried:
    """Prepare an execution that goes on from another one, in the folder of that one.

    Jobs that were left alone when it ended, as when it was abandoned, are ended first. Tasks that
    had not begun then, and are not to run, never do.

    Args:
        execution: The one that has ended.
        tasks: Its tasks, by name, as far as they are not as they were launched.
        run: Names of the tasks that run again.
        keep: Names of all others.
    """
    # The first version kept what it knew of tasks in the execution's cursor, and so not with them.
    cursor = execution.cursor
    is_apart = cursor is not None and version_of(cursor) == 1
    carried = {}
    again = set(run)
    for name in (*run, *keep):
        task = tasks.get(name) or TaskState()
        if name in again and (task.elements is not None or _waits_anew(task)):
            # For which elements a step runs is decided once.
            carried[name] = TaskState(elements=task.elements, item=task.item)
            continue
        if task.elements is not None:
            pass  # it has no job, and its status follows from its elements
        elif task.status in BEGUN:
            task.halted, task.next_run = True, task.run if name in again else None
        elif name in again or (task.status.final and not is_apart):
            continue
        elif not task.status.final:
            task.status, task.retry_at, task.retry_due = TaskStatus.SKIPPED, None, None
        task.origin = task.origin or execution.id
        carried[name] = task
    return Carried(
        cursor=first_cursor(cursor, execution.id),
        tasks=tuple(task.shown(name) for name, task in carried.items()),
        task_cursors={name: task.dump() for name, task in carried.items()},
    )


def _waits_anew(task: TaskState) -> bool:
    """Return whether a task is that of an element, and has no job to be ended first."""
    return task.item is not None and task.status not in BEGUN


def hold_back(run: Collection[str], keep: Collection[str]) -> Carried:
    """Prepare an execution that begins from nothing, in which some tasks are not to run.

    Args:
        run: Names of those that run, at once.
        keep: Names of all others.
    """
    tasks = {name: TaskState(status=TaskStatus.SKIPPED) for name in keep}
    tasks |= {name: TaskState(asked=True) for name in run}
    return Carried(
        cursor=first_cursor(None, None),
        tasks=tuple(task.shown(name) for name, task in tasks.items()),
        task_cursors={name: task.dump() for name, task in tasks.items()},
    )

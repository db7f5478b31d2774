"""Following what a user wants of single tasks, as far as that takes no launcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from app.domain import BEGUN, DesiredTaskState, DrivenExecution, TaskStatus, TaskWish
from app.engine.progress import Progress

Told = Callable[[str, str], None]
"""Is told the name of a task, and what became of it."""


class Wishes(Protocol):
    """Where the wishes are stored; see :class:`app.store.task_wishes.TaskWishes`."""

    def of(self, execution: DrivenExecution) -> Mapping[str, TaskWish]:
        """Read what is wanted of an execution's tasks, by name."""


def follow(progress: Progress, wishes: Mapping[str, TaskWish], tell: Told) -> None:
    """Change the tasks of which something else is wanted than what they are.

    A task that has a job is marked, for the job to be ended first. It may be called again with the
    same wishes, after a crash for instance: then nothing changes.

    Args:
        progress: How far the execution came.
        wishes: What is wanted, by name of the task.
        tell: Is told of tasks that never began.
    """
    for name, wish in wishes.items():
        if name not in progress.steps:
            continue
        if wish.desired is DesiredTaskState.STOPPED:
            _stop(progress, name, tell)
        else:
            _run(progress, name, wish.generation)


def _tell_nobody(name: str, what: str) -> None:
    pass


def _stop(progress: Progress, name: str, tell: Told) -> None:
    task = progress[name]
    elements = progress.elements_of(name)
    if elements is not None:
        if not task.halted and not task.status.final:
            progress.changing(name).halted = True  # elements may be asked for by name after that
            tell(name, "and all of its elements are stopped as asked for")
            for each in elements:
                _stop(progress, each, _tell_nobody)
    elif task.status in BEGUN:
        if not task.halted or task.next_run is not None:
            task = progress.changing(name)
            task.halted, task.next_run = True, None
    elif not task.status.final:
        task = progress.move(name, TaskStatus.CANCELLED)
        task.retry_at = task.retry_due = None
        task.error = "stopped as asked for, before it began"
        tell(name, "was stopped as asked for, before it began")


def _run(progress: Progress, name: str, number: int) -> None:
    task = progress[name]
    if number <= max(task.run, -1 if task.next_run is None else task.next_run):
        return
    elements = progress.elements_of(name)
    if elements is None:
        _run_one(progress, name, number)
        return
    progress.renew(name, number)
    for each in elements:
        _run_one(progress, each, progress[each].run)


def _run_one(progress: Progress, name: str, number: int) -> None:
    task = progress[name]
    if task.status not in BEGUN:
        progress.run_again(name, number)
    elif task.queued is not None and not task.halted:
        progress.changing(name).run = number  # it has not begun: that is the run asked for
    else:
        task = progress.changing(name)
        task.halted, task.next_run = True, number

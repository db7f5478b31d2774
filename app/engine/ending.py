"""Ending all that runs of an execution, by nothing but its cursors and the folders of its jobs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.domain import BEGUN
from app.engine.launchers.base import JobPhase, JobState, Launcher, Watched
from app.engine.task_state import TaskState
from app.engine.watch import ask


def end_all(
    tasks: Mapping[str, TaskState],
    executions_dir: Path,
    execution_id: str,
    launcher: Launcher,
    beside: Launcher | None = None,
) -> bool:
    """Ask for the end of all jobs of an execution; it needs no definition and no expression.

    Args:
        tasks: Its tasks, by name.
        executions_dir: The folder of all executions.
        execution_id: Its id.
        launcher: Where its commands run.
        beside: Where those of some tasks do, see :attr:`app.engine.task_state.TaskState.beside`.

    Returns:
        False while one still runs: ask again.

    Raises:
        UpstreamError: The launcher cannot work now.
    """
    begun = {
        job_folder(executions_dir, execution_id, name, task): task
        for name, task in tasks.items()
        if task.status in BEGUN and task.elements is None
    }
    if beside is None:
        return _end_each(begun, launcher)
    apart = {folder: task for folder, task in begun.items() if task.beside}
    others = {folder: task for folder, task in begun.items() if not task.beside}
    ended = _end_each(apart, beside)
    return _end_each(others, launcher) and ended


def _end_each(begun: Mapping[Path, TaskState], launcher: Launcher) -> bool:
    states = ask(launcher, [Watched(folder, task.process) for folder, task in begun.items()])
    ended = True
    for folder, task in begun.items():
        ended &= folder in states and _end(folder, task, states[folder], launcher)
    return ended


def job_folder(executions_dir: Path, execution_id: str, step: str, task: TaskState) -> Path:
    """Return the folder of the present attempt of a step.

    Args:
        executions_dir: The folder of all executions.
        execution_id: The execution.
        step: The step.
        task: How it stands; what was taken over has its folder where it ran.
    """
    return executions_dir / (task.origin or execution_id) / "tasks" / step / str(task.attempt)


def _end(folder: Path, task: TaskState, state: JobState, launcher: Launcher) -> bool:
    if state.lingers:
        launcher.end(folder, task.process, force=False)
        return False
    if state.phase is JobPhase.PREPARED:
        return launcher.refuse(folder, cancelled=True)
    if state.phase in (JobPhase.QUEUED, JobPhase.RUNNING):
        if not state.cancel_asked:
            launcher.cancel(folder)
        return False
    return True

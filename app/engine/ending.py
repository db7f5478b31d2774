"""Ending all that runs of an execution, by nothing but its cursor and the folders of its jobs."""

from __future__ import annotations

from pathlib import Path

from app.domain import Execution, TaskStatus
from app.engine.launchers.base import JobPhase, Launcher
from app.engine.progress import Progress, TaskState

_BEGUN = (TaskStatus.RUNNING, TaskStatus.PAUSED)


def end_all(execution: Execution, executions_dir: Path, launcher: Launcher) -> bool:
    """Ask for the end of all jobs of an execution; it needs no definition and no expression.

    Args:
        execution: The execution.
        executions_dir: Where the folders of executions are.
        launcher: Where its commands run.

    Returns:
        False while one still runs: ask again.

    Raises:
        UpstreamError: The launcher cannot work now.
    """
    names = list((execution.cursor or {}).get("tasks", {}))
    progress = Progress(names, execution.cursor)
    ended = True
    for name in names:
        task = progress[name]
        if task.status in _BEGUN:
            folder = job_folder(executions_dir / execution.id, name, task)
            ended &= _end(folder, task, launcher)
    return ended


def job_folder(execution_folder: Path, step: str, task: TaskState) -> Path:
    """Give the folder of the present attempt of a step."""
    return execution_folder / "tasks" / step / str(task.attempt)


def _end(folder: Path, task: TaskState, launcher: Launcher) -> bool:
    state = launcher.state(folder, task.process)
    if state.lingers:
        launcher.end(folder, task.process, force=False)
        return False
    if state.phase is JobPhase.PREPARED:
        return launcher.refuse(folder, cancelled=True)
    if state.phase is JobPhase.RUNNING:
        launcher.cancel(folder)
        return False
    return True

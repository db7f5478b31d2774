"""The five words for the state of workflows and workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.domain import ExecutionStatus, ExecutionSummary, Task, TaskStatus

CREATED: Final = "created"
STATUSES: Final = (CREATED, "running", "completed", "failed", "cancelled")

_OF_EXECUTIONS: Final[Mapping[ExecutionStatus, str]] = {
    ExecutionStatus.PENDING: CREATED,
    ExecutionStatus.UNKNOWN: CREATED,
    ExecutionStatus.RUNNING: "running",
    ExecutionStatus.PAUSED: "running",
    ExecutionStatus.CANCELLING: "running",
    ExecutionStatus.SUCCESS: "completed",
    ExecutionStatus.FAILED: "failed",
    ExecutionStatus.CANCELLED: "cancelled",
}
_OF_TASKS: Final[Mapping[TaskStatus, str]] = {
    TaskStatus.PENDING: CREATED,
    TaskStatus.SKIPPED: CREATED,
    TaskStatus.RUNNING: "running",
    TaskStatus.PAUSED: "running",
    TaskStatus.SUCCESS: "completed",
    TaskStatus.FAILED: "failed",
    TaskStatus.CANCELLED: "cancelled",
}


def workflow_status(execution: ExecutionSummary | None) -> str:
    """Return the word for a workflow, by its current execution."""
    return CREATED if execution is None else _OF_EXECUTIONS[execution.status]


def worker_status(task: Task | None) -> str:
    """Return the word for a worker, by its task in the current execution."""
    return CREATED if task is None else _OF_TASKS[task.status]

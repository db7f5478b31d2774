"""What a row of a list says of an execution: `executions.js` says the same of events."""

from __future__ import annotations

from app.domain import Brief, ExecutionStatus, ExecutionSummary


def remark(execution: ExecutionSummary, brief: Brief) -> str:
    """Return what stands behind the word for its state."""
    match execution.status:
        case ExecutionStatus.RUNNING if execution.progress > 0:
            return f"{int(execution.progress * 100)} %"
        case ExecutionStatus.PENDING:
            return brief.waits_for or ""
        case ExecutionStatus.FAILED if brief.exit_code is not None:
            return f"exit {brief.exit_code}"
    return ""


def says(execution: ExecutionSummary, brief: Brief) -> str:
    """Return what it does by now, or why it failed; empty where there is nothing to say."""
    if execution.status is ExecutionStatus.FAILED:
        return ": ".join(filter(None, (brief.failed_task, brief.reason)))
    if brief.tasks:
        more = brief.active - len(brief.tasks)
        names = ", ".join(brief.tasks)
        return f"now: {names}{f' and {more} more' if more > 0 else ''}"
    if brief.waits_for and execution.status is not ExecutionStatus.PENDING:
        return f"waits: {brief.waits_for}"
    return ""

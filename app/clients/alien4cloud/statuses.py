"""Alien4Cloud's status words and ours.

Source: Alien4Cloud 3.8 REST, sections 7 and 12 (ExecutionStatus, TaskStatus, step status).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import structlog

from app.clients.alien4cloud.model import LogRecord
from app.domain import ExecutionStatus, Level, TaskStatus

log = structlog.get_logger(__name__)

EXECUTION: Mapping[str, ExecutionStatus] = {
    "SCHEDULED": ExecutionStatus.PENDING,
    "RUNNING": ExecutionStatus.RUNNING,
    "SUCCEEDED": ExecutionStatus.SUCCESS,
    "FAILED": ExecutionStatus.FAILED,
    "CANCELLING": ExecutionStatus.CANCELLING,
    "CANCELLED": ExecutionStatus.CANCELLED,
}

STEP: Mapping[str, TaskStatus] = {
    "STARTED": TaskStatus.RUNNING,
    "COMPLETED_SUCCESSFULL": TaskStatus.SUCCESS,  # so spelled by the server
    "COMPLETED_WITH_ERROR": TaskStatus.FAILED,
}

TASK: Mapping[str, TaskStatus] = {
    "SCHEDULED": TaskStatus.RUNNING,
    "STARTED": TaskStatus.RUNNING,
    "SUCCEEDED": TaskStatus.SUCCESS,
    "FAILED": TaskStatus.FAILED,
    "CANCELLED": TaskStatus.CANCELLED,
}

LEVEL: Mapping[str, Level] = {
    "DEBUG": Level.DEBUG,
    "INFO": Level.INFO,
    "WARN": Level.WARN,
    "ERROR": Level.ERROR,
}

_STATUS_LINE = re.compile(
    r'Workflow "(?P<workflow>.*)" (?P<ended>ended successfully|ended in error|canceled)'
    r'|Status for workflow "(?P<changed>.*)" changed to "(?P<status>\w+)"'
)
_ENDS: Mapping[str, ExecutionStatus] = {
    "ended successfully": ExecutionStatus.SUCCESS,
    "ended in error": ExecutionStatus.FAILED,
    "canceled": ExecutionStatus.CANCELLED,
    "done": ExecutionStatus.SUCCESS,
    "failed": ExecutionStatus.FAILED,
}


def execution_status(word: str, execution: str) -> ExecutionStatus:
    """Translate the status of an execution; a word that nobody knows is never an end."""
    status = EXECUTION.get(word)
    if status is None:
        log.warning("unknown execution status", status=word, execution=execution)
        return ExecutionStatus.UNKNOWN
    return status


def end_told_by(entries: Iterable[LogRecord], workflow: str) -> ExecutionStatus | None:
    """Read how an execution ended from Yorc's log lines (section 10).

    Those are of no node and no operation; what a job prints is, and tells nothing.

    Args:
        entries: Newest first.
        workflow: Name of the workflow.

    Returns:
        The final status, or None where the newest such line tells no end.
    """
    for entry in entries:
        if entry.node or entry.operation:
            continue
        match = _STATUS_LINE.fullmatch(entry.content.strip())
        if match and workflow in (match["workflow"], match["changed"]):
            return _ENDS.get(match["ended"] or match["status"])
    return None

"""The words of this API for the states of executions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.domain import ExecutionStatus

STATUSES: Final[Mapping[ExecutionStatus, str]] = {
    ExecutionStatus.PENDING: "pending",
    ExecutionStatus.UNKNOWN: "pending",
    ExecutionStatus.RUNNING: "running",
    ExecutionStatus.CANCELLING: "running",
    ExecutionStatus.PAUSED: "paused",
    ExecutionStatus.SUCCESS: "completed",
    ExecutionStatus.FAILED: "failed",
    ExecutionStatus.CANCELLED: "aborted",
}
WORDS: Final = tuple(dict.fromkeys(STATUSES.values()))

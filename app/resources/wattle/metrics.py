"""What a worker takes of its machine, in the four texts that this API has for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import marshmallow as ma
from marshmallow import fields, validate

from app.domain import Task
from app.resources.wattle.statuses import CREATED, STATUSES, worker_status

_MEGABYTE: Final = 1024 * 1024


class MetricsSchema(ma.Schema):
    """What a worker takes, with all of its processes, as it was measured last."""

    cpu_usage = fields.String(
        required=True, metadata={"description": "Of one processor", "example": "15.5%"}
    )
    memory_usage = fields.String(
        required=True, metadata={"description": "Resident, in 2^20 bytes", "example": "128MB"}
    )
    runtime = fields.String(
        required=True,
        metadata={"description": "Of this run so far, or in all", "example": "00:05:23"},
    )
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))


class MeasuredSchema(ma.Schema):
    """What a worker takes of its machine."""

    metrics = fields.Nested(MetricsSchema, required=True)


def metrics_json(task: Task | None) -> dict[str, Any]:
    """Write what a worker takes, by its task in the current execution."""
    status = worker_status(task)
    if task is None or status == CREATED:
        return {"cpu_usage": "0.0%", "memory_usage": "0MB", "runtime": "00:00:00", "status": status}
    return {
        "cpu_usage": f"{task.cpu_percent or 0:.1f}%",
        "memory_usage": f"{(task.memory_bytes or 0) / _MEGABYTE:.0f}MB",
        "runtime": _runtime(task),
        "status": status,
    }


def _runtime(task: Task) -> str:
    if task.started_at is None:
        return "00:00:00"
    until = task.finished_at if task.status.final and task.finished_at else datetime.now(UTC)
    seconds = max(0, int((until - task.started_at).total_seconds()))
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"

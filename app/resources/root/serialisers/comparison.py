"""Two executions compared, on the wire."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.domain import Task, TaskStatus
from app.resources.root.examples import TASK
from app.resources.root.serialisers.differences import (
    DefinitionChangeSchema,
    ValueChangeSchema,
    change_json,
    definition_json,
)
from app.resources.root.serialisers.entries import LogEntrySchema, entry_json
from app.resources.root.serialisers.executions import ExecutionSummarySchema, summary_json
from app.services.comparing import MOST_STEPS, Comparison, StepChange
from app.services.digest import seconds_between as took
from app.services.log_comparison import (
    COMPARED,
    MOST_BYTES,
    MOST_ENTRIES,
    MOST_SECONDS,
    LineDifference,
    LogDifference,
)
from app.services.text_difference import LONGEST_LINE, MOST_LINES

_OF_LOGS = (
    f"Bounds: {MOST_ENTRIES:,} entries or {MOST_BYTES >> 20} MiB of each log, {MOST_SECONDS:g} "
    f"seconds, and the first {COMPARED:,} characters of a line"
)


class DefinitionDifferenceSchema(DefinitionChangeSchema):
    """How the definitions differ."""

    diff = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "Lines as `diff -u` writes them: of the texts as they were uploaded, or "
            f"else of what both definitions say as JSON; at most {MOST_LINES:,} of {LONGEST_LINE} "
            "characters"
        },
    )
    cut = fields.Boolean(required=True, metadata={"description": "There is more in `diff`"})
    missing = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why `diff` cannot be told; null where it is"},
    )


class StepStateSchema(ma.Schema):
    """A task in one of the two."""

    status = fields.String(
        required=True, validate=validate.OneOf([str(status) for status in TaskStatus])
    )
    exit_code = fields.Integer(required=True, allow_none=True)
    attempts = fields.Integer(required=True)
    duration_seconds = fields.Float(required=True, allow_none=True)


class StepChangeSchema(ma.Schema):
    """A task in both."""

    name = fields.String(required=True, metadata={"example": TASK})
    change = fields.String(
        required=True,
        validate=validate.OneOf(["none", "changed", "added", "removed"]),
        metadata={"description": "`changed`: another status, or another exit code"},
    )
    before = fields.Nested(StepStateSchema, required=True, allow_none=True)
    after = fields.Nested(StepStateSchema, required=True, allow_none=True)


class LineDifferenceSchema(ma.Schema):
    """The first line of a task that differs."""

    task = fields.String(required=True, metadata={"description": "Empty for the execution itself"})
    line = fields.Integer(
        required=True,
        metadata={"description": "Which one of its task it is, on the same stream; from 1"},
    )
    before = fields.Nested(
        LogEntrySchema,
        required=True,
        allow_none=True,
        metadata={"description": "null: this log has no such line. What one says is cut to 2,000"},
    )
    after = fields.Nested(LogEntrySchema, required=True, allow_none=True)


class ComparedSchema(ma.Schema):
    """How much of two logs was read."""

    before = fields.Integer(required=True)
    after = fields.Integer(required=True)


class LogDifferenceSchema(ma.Schema):
    """How the logs differ."""

    lines = fields.List(
        fields.Nested(LineDifferenceSchema),
        required=True,
        metadata={
            "description": "Of each task that both have, the first line that differs; the first of "
            "all first. Tasks are compared one by one, as they write at the same time, and what "
            "differs from run to run (moments, durations, ids, addresses in memory, numbers of "
            "processes) is no difference"
        },
    )
    compared = fields.Nested(
        ComparedSchema, required=True, metadata={"description": "Entries that were read"}
    )
    complete = fields.Boolean(
        required=True, metadata={"description": "The logs were compared to their ends"}
    )
    stopped_by = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(["entries", "bytes", "waiting", "time", "purged"]),
        metadata={
            "description": f"Which bound was reached; null: none. {_OF_LOGS}. `waiting`: too many "
            "lines without counterpart; `purged`: a log is not kept any more"
        },
    )


class DurationsSchema(ma.Schema):
    """How long both took."""

    before = fields.Float(required=True, allow_none=True)
    after = fields.Float(required=True, allow_none=True)


class ComparisonSchema(ma.Schema):
    """What is not the same in two executions."""

    before = fields.Nested(ExecutionSummarySchema, required=True)
    after = fields.Nested(ExecutionSummarySchema, required=True)
    differs = fields.Boolean(
        required=True,
        metadata={
            "description": "Anything differs but what does each time: times, durations, names and "
            "labels"
        },
    )
    duration_seconds = fields.Nested(DurationsSchema, required=True)
    inputs = fields.List(fields.Nested(ValueChangeSchema), required=True)
    inputs_changed = fields.Integer(
        required=True, metadata={"description": "How many differ; `inputs` has the first 200"}
    )
    outputs = fields.List(fields.Nested(ValueChangeSchema), required=True)
    outputs_changed = fields.Integer(
        required=True, metadata={"description": "How many differ; `outputs` has the first 200"}
    )
    definition = fields.Nested(DefinitionDifferenceSchema, required=True)
    steps = fields.List(
        fields.Nested(StepChangeSchema),
        required=True,
        metadata={
            "description": f"The tasks of either; of more than {MOST_STEPS:,} those that differ "
            "first"
        },
    )
    steps_total = fields.Integer(required=True, metadata={"description": "How many there are"})
    log = fields.Nested(LogDifferenceSchema, required=True)


def comparison_json(comparison: Comparison, *, stale: tuple[bool, bool]) -> dict[str, Any]:
    """Write what differs.

    Args:
        comparison: What was compared.
        stale: Of each execution, whether its orchestrator has been silent for long.
    """
    before, after = comparison.before, comparison.after
    text = comparison.text
    return {
        "before": summary_json(before, stale=stale[0]),
        "after": summary_json(after, stale=stale[1]),
        "differs": comparison.differs,
        "duration_seconds": {
            "before": took(before.started_at, before.finished_at),
            "after": took(after.started_at, after.finished_at),
        },
        "inputs": [change_json(change) for change in comparison.inputs[0]],
        "inputs_changed": comparison.inputs[1],
        "outputs": [change_json(change) for change in comparison.outputs[0]],
        "outputs_changed": comparison.outputs[1],
        "definition": {
            **definition_json(comparison.definition),
            "diff": list(text.lines),
            "cut": text.cut,
            "missing": text.missing or None,
        },
        "steps": [_step_json(step) for step in comparison.steps],
        "steps_total": comparison.steps_total,
        "log": _log_json(comparison.log),
    }


def _step_json(step: StepChange) -> dict[str, Any]:
    return {
        "name": step.name,
        "change": step.change,
        "before": _state_json(step.before),
        "after": _state_json(step.after),
    }


def _state_json(task: Task | None) -> dict[str, Any] | None:
    if task is None:
        return None
    return {
        "status": str(task.status),
        "exit_code": task.exit_code,
        "attempts": task.attempts,
        "duration_seconds": took(task.started_at, task.finished_at),
    }


def _log_json(log: LogDifference) -> dict[str, Any]:
    before, after = log.compared
    return {
        "lines": [_line_json(line) for line in log.lines],
        "compared": {"before": before, "after": after},
        "complete": not log.stopped_by,
        "stopped_by": log.stopped_by or None,
    }


def _line_json(line: LineDifference) -> dict[str, Any]:
    return {
        "task": line.task,
        "line": line.line,
        "before": None if line.before is None else entry_json(line.before),
        "after": None if line.after is None else entry_json(line.after),
    }

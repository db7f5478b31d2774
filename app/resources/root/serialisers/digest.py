"""Digests of executions on the wire: as JSON, and as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.domain import LogEntry, Task, TaskStatus, reason_in
from app.durations import format_duration
from app.exit_codes import with_meaning
from app.log_lines import log_line, safe_text
from app.resources._api import Timestamp, iso
from app.resources.root.examples import EXECUTION_ID, TASK
from app.resources.root.serialisers.differences import (
    DefinitionChangeSchema,
    ValueChangeSchema,
    change_json,
    change_line,
    definition_json,
)
from app.resources.root.serialisers.entries import LogEntrySchema, entry_json
from app.resources.root.serialisers.executions import ExecutionSummarySchema, summary_json
from app.resources.root.serialisers.tasks import WaitingSchema
from app.services.digest import LAST_LINES, MOST_FAILED, Digest, FailedTask, LastSuccess
from app.services.digest import seconds_between as took

_CUT = "what one says is cut to 2,000 characters"


class LastSuccessSchema(ma.Schema):
    """An earlier execution of the workflow in which the task succeeded."""

    execution = fields.String(
        required=True, metadata={"description": "Its id", "example": EXECUTION_ID}
    )
    execution_id = fields.String(required=True, metadata={"description": "Its name"})
    owner = fields.String(required=True)
    finished_at = Timestamp(allow_none=True)
    duration_seconds = fields.Float(
        required=True, allow_none=True, metadata={"description": "Of the task"}
    )
    inputs = fields.List(
        fields.Nested(ValueChangeSchema),
        required=True,
        metadata={"description": "Inputs that differ: `before` there, `after` now"},
    )
    inputs_changed = fields.Integer(
        required=True, metadata={"description": "How many differ; `inputs` has the first 200"}
    )
    definition = fields.Nested(DefinitionChangeSchema, required=True)


class FailedTaskSchema(ma.Schema):
    """A task that failed."""

    name = fields.String(required=True, metadata={"example": TASK})
    title = fields.String(required=True, allow_none=True)
    exit_code = fields.Integer(required=True, allow_none=True, metadata={"example": 137})
    meaning = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "What the exit code means by itself: above 128 a signal, 126 and 127 "
            "what a shell could not run; null where it means nothing",
            "example": "SIGKILL: killed",
        },
    )
    error = fields.String(required=True, allow_none=True)
    attempts = fields.Integer(required=True)
    node = fields.String(required=True, allow_none=True)
    started_at = Timestamp(allow_none=True)
    finished_at = Timestamp(allow_none=True)
    duration_seconds = fields.Float(required=True, allow_none=True)
    continued_from = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Id of the execution that has its log, where that is another"},
    )
    first_error = fields.Nested(
        LogEntrySchema,
        required=True,
        allow_none=True,
        metadata={
            "description": "First entry of its last attempt that tells of an error: what the "
            "command calls one, or else what it wrote to its standard error, or else what the "
            "orchestrator says. It is looked for among the first 2,000 entries of the level."
        },
    )
    last_lines = fields.List(
        fields.Nested(LogEntrySchema),
        required=True,
        metadata={
            "description": f"Its last entries, of its last attempt and at most {LAST_LINES}; {_CUT}"
        },
    )
    last_success = fields.Nested(
        LastSuccessSchema,
        required=True,
        allow_none=True,
        metadata={
            "description": "Of the same owner, or else of whomever the caller sees; looked for "
            "among the 500 executions before"
        },
    )


class ActiveTaskSchema(ma.Schema):
    """A task that runs, or says what it waits for."""

    name = fields.String(required=True, metadata={"example": TASK})
    status = fields.String(
        required=True, validate=ma.validate.OneOf([str(status) for status in TaskStatus])
    )
    started_at = Timestamp(allow_none=True)
    waits_for = fields.Nested(WaitingSchema, allow_none=True)


class DigestSchema(ma.Schema):
    """How an execution stands, and why."""

    execution = fields.Nested(ExecutionSummarySchema, required=True)
    summary = fields.String(
        required=True,
        metadata={
            "description": "One sentence",
            "example": "Failed after 12s: task 'hello': exit code 137 (SIGKILL: killed) after 11s.",
        },
    )
    duration_seconds = fields.Float(required=True, allow_none=True)
    tasks = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={
            "description": "How many have each status", "example": {"SUCCESS": 3, "FAILED": 1},
        },
    )  # fmt: skip
    failed = fields.List(
        fields.Nested(FailedTaskSchema),
        required=True,
        metadata={
            "description": f"The {MOST_FAILED} tasks that failed first, before the others the one "
            "that the orchestrator gives as the cause; none of an execution that succeeded"
        },
    )
    active = fields.List(
        fields.Nested(ActiveTaskSchema),
        required=True,
        metadata={
            "description": "Up to 10 tasks that run, or say what they wait for; of an execution "
            "that has not ended"
        },
    )
    cancel = fields.Nested(
        LogEntrySchema,
        required=True,
        allow_none=True,
        metadata={"description": "Who asked for the end; null if nobody did"},
    )
    last_lines = fields.List(
        fields.Nested(LogEntrySchema),
        required=True,
        metadata={
            "description": f"The last {LAST_LINES} entries of the execution itself, of one that "
            f"ended without success and without a task that failed; {_CUT}"
        },
    )
    log_purged_at = Timestamp(
        allow_none=True,
        metadata={
            "description": "Since when the log is not kept any more; null: it is kept",
        },
    )  # fmt: skip


def digest_json(digest: Digest, *, stale: bool) -> dict[str, Any]:
    """Write a digest."""
    execution = digest.execution
    return {
        "execution": summary_json(execution, stale=stale),
        "summary": digest.summary,
        "duration_seconds": took(execution.started_at, execution.finished_at),
        "tasks": {
            str(status): digest.tasks[status] for status in TaskStatus if status in digest.tasks
        },
        "failed": [_failed_json(failed) for failed in digest.failed],
        "active": [_active_json(task) for task in digest.active],
        "cancel": _optional_entry(digest.cancel),
        "last_lines": [entry_json(entry) for entry in digest.last_lines],
        "log_purged_at": Timestamp.write(execution.log_purged_at),
    }


def _failed_json(failed: FailedTask) -> dict[str, Any]:
    task = failed.task
    return {
        "name": task.name,
        "title": task.title,
        "exit_code": task.exit_code,
        "meaning": failed.meaning or None,
        "error": task.error,
        "attempts": task.attempts,
        "node": task.node,
        "started_at": Timestamp.write(task.started_at),
        "finished_at": Timestamp.write(task.finished_at),
        "duration_seconds": took(task.started_at, task.finished_at),
        "continued_from": task.continued_from,
        "first_error": _optional_entry(failed.first_error),
        "last_lines": [entry_json(entry) for entry in failed.last_lines],
        "last_success": None if failed.last_success is None else _success_json(failed.last_success),
    }


def _success_json(success: LastSuccess) -> dict[str, Any]:
    execution, task = success.execution, success.task
    return {
        "execution": execution.id,
        "execution_id": execution.awf_name,
        "owner": execution.owner,
        "finished_at": Timestamp.write(task.finished_at),
        "duration_seconds": took(task.started_at, task.finished_at),
        "inputs": [change_json(change) for change in success.inputs],
        "inputs_changed": success.inputs_changed,
        "definition": definition_json(success.definition),
    }


def _active_json(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "status": str(task.status),
        "started_at": Timestamp.write(task.started_at),
        "waits_for": task.waits_for,
    }


def _optional_entry(entry: LogEntry | None) -> dict[str, Any] | None:
    return None if entry is None else entry_json(entry)


def digest_text(digest: Digest) -> str:
    """Write a digest for people; nothing in it can forge a line, or move a cursor."""
    return "".join(f"{line}\n" for line in _lines(digest))


def _lines(digest: Digest) -> Iterator[str]:
    execution = digest.execution
    begun = f", begun {iso(execution.started_at)}" if execution.started_at else ""
    yield safe_text(
        f"{execution.workflow_name} {execution.id} {execution.status}, launched "
        f"{iso(execution.created_at)} by {execution.owner}{begun}"
    )
    yield safe_text(digest.summary)
    if digest.cancel is not None:
        yield safe_text(digest.cancel.content)
    for task in digest.active:
        why = f", waits for {task.waits_for['reason']}" if task.waits_for else ""
        yield safe_text(f"  {task.name} {task.status}{why}")
    for failed in digest.failed:
        yield ""
        yield from _failed_lines(failed)
    if digest.last_lines:
        yield ""
        yield from _entries("Its last lines:", digest.last_lines)
    if execution.log_purged_at is not None:
        yield f"Its log was purged on {iso(execution.log_purged_at)}."


def _failed_lines(failed: FailedTask) -> Iterator[str]:
    task = failed.task
    seconds = took(task.started_at, task.finished_at)
    told = [
        with_meaning(task.exit_code) if task.exit_code is not None else "",
        f"attempt {task.attempts}" if task.attempts > 1 else "",
        f"after {format_duration(round(seconds, 3))}" if seconds is not None else "",
        f"on {task.node}" if task.node else "",
    ]
    yield safe_text(f"Task {task.name} failed: {', '.join(filter(None, told)) or task.error}")
    if failed.first_error is not None:
        yield from _entries("First error:", (failed.first_error,))
    if failed.last_lines:
        yield from _entries("Last lines:", failed.last_lines)
    if task.continued_from is not None:
        yield f"It failed in {task.continued_from}, which has its log."
    yield from _success_lines(failed.last_success)


def _success_lines(success: LastSuccess | None) -> Iterator[str]:
    if success is None:
        yield "No earlier success of it is known."
        return
    finished = success.task.finished_at
    when = f" on {iso(finished)}" if finished else ""
    yield safe_text(f"Last success: {success.execution.id}{when} by {success.execution.owner}")
    for change in success.inputs:
        yield f"  input {change_line(change)}"
    if success.inputs_changed > len(success.inputs):
        yield f"  and {success.inputs_changed - len(success.inputs)} inputs more"
    definition = success.definition
    if definition.changed and definition.before != definition.after:
        yield f"  version of the definition: {definition.before} -> {definition.after}"
    elif definition.changed:
        yield "  another definition"
    elif not success.inputs:
        same = "with the same inputs"
        yield f"  {same} and the same definition" if definition.changed is False else f"  {same}"


def _entries(title: str, entries: tuple[LogEntry, ...]) -> Iterator[str]:
    yield title
    for entry in entries:
        # What the orchestrator repeats of a task's last lines stands right above.
        content = entry.content if entry.stream else reason_in(entry.content)
        line = log_line(entry.timestamp_ms, entry.level, entry.task, content)
        yield f"  {entry.sequence}  {line.rstrip()}".replace("\n", "\n    ")

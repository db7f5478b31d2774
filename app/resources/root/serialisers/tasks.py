"""Tasks on the wire."""

from __future__ import annotations

from operator import attrgetter

import marshmallow as ma
from marshmallow import fields

from app.domain import TaskStatus
from app.resources._api import Timestamp
from app.resources._serialiser import Serialiser
from app.resources.root.examples import TASK


class WaitingSchema(ma.Schema):
    """What a task waits for."""

    kind = fields.String(
        required=True,
        validate=ma.validate.OneOf(
            ["processors", "memory", "pool", "turn", "queue", "launcher", "retry", "tasks"]
        ),
        metadata={
            "description": "`processors` and `memory` of the machine, `pool`: room for another job "
            "elsewhere, `turn`: others come first, `queue` of a batch system, `launcher`: where "
            "its jobs would run cannot be used for now, `retry`: the time of the next attempt, "
            "`tasks` that it needs"
        },
    )
    reason = fields.String(required=True, metadata={"description": "The same in words"})
    until = fields.String(metadata={"description": "When a retry begins", "format": "date-time"})
    tasks = fields.List(fields.String(), metadata={"description": "Some of the tasks"})


class TaskSchema(ma.Schema):
    """One task of an execution."""

    name = fields.String(required=True, metadata={"example": TASK})
    title = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Name for people, where that is another one"},
    )
    status = fields.String(
        required=True, validate=ma.validate.OneOf([str(status) for status in TaskStatus])
    )
    started_at = Timestamp(allow_none=True)
    finished_at = Timestamp(allow_none=True)
    exit_code = fields.Integer(allow_none=True)
    attempts = fields.Integer()
    node = fields.String(allow_none=True)
    error = fields.String(allow_none=True)
    run = fields.Integer(
        metadata={
            "description": "Number of its run: 0 is the workflow's own, and each that was asked "
            "for by name has one more"
        }
    )
    continued_from = fields.String(
        allow_none=True,
        metadata={
            "description": "Id of the earlier execution in which it came to this; its times and "
            "its log are there"
        },
    )
    ready_at = Timestamp(
        allow_none=True,
        metadata={
            "description": "Since when its last attempt could have begun: what it needs had ended, "
            "or the attempt before; null: not known",
        },
    )
    waits_for = fields.Nested(
        WaitingSchema,
        allow_none=True,
        metadata={"description": "What it waits for, where that is known; null: for nothing"},
    )
    cpu_seconds = fields.Float(
        allow_none=True,
        metadata={"description": "Processor time of its whole process tree; null: not known"},
    )
    cpu_percent = fields.Float(
        allow_none=True,
        metadata={"description": "As last measured, in percent of one processor"},
    )
    memory_bytes = fields.Integer(
        allow_none=True,
        metadata={"description": "Resident memory of its process tree, as last measured"},
    )
    memory_peak_bytes = fields.Integer(
        allow_none=True, metadata={"description": "The most of it that was measured"}
    )


def _moment(description: str) -> Timestamp:
    return Timestamp(
        required=True,
        allow_none=True,
        metadata={"description": description},
    )


class AttemptSchema(ma.Schema):
    """One attempt of a task."""

    task = fields.String(required=True, metadata={"example": TASK})
    number = fields.Integer(
        required=True, metadata={"minimum": 1, "description": "Of all runs of the task"}
    )
    run = fields.Integer(required=True, metadata={"minimum": 0})
    status = fields.String(
        required=True, validate=ma.validate.OneOf([str(status) for status in TaskStatus])
    )
    ready_at = _moment("Since when it could have begun; null: not known")
    started_at = _moment("When its command began; null: it waits in a queue, or nobody knows")
    finished_at = _moment("When that ended; null: it has not, or nobody knows")
    exit_code = fields.Integer(required=True, allow_none=True)
    node = fields.String(required=True, allow_none=True)


attempt_json = Serialiser(AttemptSchema)
task_json = Serialiser(TaskSchema, waits_for=attrgetter("waits_for"))

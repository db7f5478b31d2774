"""Tasks on the wire."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import fields

from app.resources._api import Timestamp
from app.resources._serialiser import Serialiser


class TaskSchema(ma.Schema):
    """One task of an execution."""

    name = fields.String(required=True)
    title = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Name for people, where that is another one"},
    )
    status = fields.String(required=True)
    started_at = Timestamp(allow_none=True, metadata={"type": "string", "format": "date-time"})
    finished_at = Timestamp(allow_none=True, metadata={"type": "string", "format": "date-time"})
    exit_code = fields.Integer(allow_none=True)
    attempts = fields.Integer()
    node = fields.String(allow_none=True)
    error = fields.String(allow_none=True)


task_json = Serialiser(TaskSchema)

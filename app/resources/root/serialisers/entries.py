"""Log entries on the wire."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.domain import LEVEL_NAMES, LogEntry, log_timestamp


class LogEntrySchema(ma.Schema):
    """One entry."""

    level = fields.String(required=True, validate=validate.OneOf(list(LEVEL_NAMES.values())))
    timestamp = fields.DateTime(required=True)
    content = fields.String(required=True)
    task = fields.String(required=True, metadata={"description": "Empty for the execution itself"})
    index = fields.Integer(
        required=True, metadata={"description": "Place in the whole log; never changes"}
    )


def entry_json(entry: LogEntry) -> dict[str, Any]:
    """Write a log entry; by hand, since there are hundreds in a page."""
    return {
        "level": LEVEL_NAMES[entry.level],
        "timestamp": log_timestamp(entry.timestamp_ms),
        "content": entry.content,
        "task": entry.task,
        "index": entry.sequence,
    }

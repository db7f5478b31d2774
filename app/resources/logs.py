"""``/executions/<id>/logs`` of the root API: the long poll."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import marshmallow as ma
import orjson
from flask import Response
from marshmallow import fields, validate

from app.domain import ALL_LEVELS, DEFAULT_LEVELS, Level, log_timestamp
from app.resources._api import LARGEST_INDEX, Blueprint, document_errors
from app.resources._auth import SECURITY, caller
from app.resources._context import services
from app.services.logs import LogPage, LogQuery
from app.settings.schema import Duration

blueprint = Blueprint("logs", __name__, description="What executions say")

_LEVEL_NAMES = {int(level): level.name for level in Level}


class LogArgsSchema(ma.Schema):
    """Which entries, and how long to wait for them."""

    start = fields.Integer(
        data_key="from",
        load_default=0,
        validate=validate.Range(0, LARGEST_INDEX),
        metadata={"description": "Index of the first entry, counted within the filter"},
    )
    size = fields.Integer(
        load_default=-1,
        validate=validate.Range(-1, LARGEST_INDEX),
        metadata={"description": "Most entries; -1 for all, 0 for the total only"},
    )
    timeout = Duration(
        load_default="1m",
        metadata={
            "type": "string", "default": "1m", "description": "How long to wait, such as `1m30s`",
        },
    )  # fmt: skip
    levels = fields.Integer(
        load_default=0,
        validate=validate.Range(0, int(ALL_LEVELS)),
        metadata={"description": "DEBUG=1, INFO=2, WARN=4, ERROR=8; 0 means INFO, WARN, ERROR"},
    )


class LogEntrySchema(ma.Schema):
    """One entry."""

    level = fields.String(required=True, validate=validate.OneOf([str(lv.name) for lv in Level]))
    timestamp = fields.DateTime(required=True)
    content = fields.String(required=True)
    task = fields.String(required=True, metadata={"description": "Empty for the execution itself"})
    index = fields.Integer(
        required=True, metadata={"description": "Place in the whole log; never changes"}
    )


class LogPageSchema(ma.Schema):
    """Entries of a log."""

    logs = fields.List(fields.Nested(LogEntrySchema), required=True)
    total_results = fields.Integer(required=True)
    from_ = fields.Integer(data_key="from", required=True)
    execution_status = fields.String(required=True)
    complete = fields.Boolean(required=True, metadata={"description": "No entry can come any more"})


@blueprint.route("/executions/<string:execution_id>/logs", methods=["GET"])
@blueprint.arguments(LogArgsSchema, location="query")
@blueprint.response(200, LogPageSchema)
@document_errors(blueprint, 401, 404)
@blueprint.doc(security=SECURITY)
def get_logs(args: dict[str, Any], execution_id: str) -> Response:
    """Read log entries; wait for the first one if there is none yet."""
    query = LogQuery(
        start=args["start"],
        size=args["size"],
        levels=Level(args["levels"]) or DEFAULT_LEVELS,
        timeout_seconds=args["timeout"],
    )
    page = services().logs.page(execution_id, caller(), query)
    return Response(_encode(page), content_type="application/json")


@lru_cache(1024)
def _encode(page: LogPage) -> bytes:
    """Write a page as JSON, past marshmallow, which takes eight times as long."""
    return orjson.dumps(
        {
            "logs": [
                {
                    "level": _LEVEL_NAMES[entry.level],
                    "timestamp": log_timestamp(entry.timestamp_ms),
                    "content": entry.content,
                    "task": entry.task,
                    "index": entry.sequence,
                }
                for entry in page.entries
            ],
            "total_results": page.total,
            "from": page.start,
            "execution_status": page.status,
            "complete": page.complete,
        }
    )

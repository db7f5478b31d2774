"""``/executions/<id>/logs`` of the root API: the long poll, streams, and the log as text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import marshmallow as ma
import orjson
from flask import Response, request
from marshmallow import fields, validate
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import NotAcceptable
from werkzeug.http import parse_accept_header

from app.domain import Level
from app.resources._api import (
    LARGEST_INDEX,
    UPSTREAM,
    Blueprint,
    document_errors,
    empty,
    only_document,
)
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import SECURITY, caller, caller_by_now
from app.resources._context import services
from app.resources._download import download
from app.resources._levels import levels_field, levels_of
from app.resources._statuses import state_field, status_field, status_word
from app.resources._streams import NDJSON, SSE, TEXT, entry_json, ndjson, sse, stream, text
from app.services.follow import FollowQuery
from app.services.logs import LogPage, LogQuery
from app.services.readers import breathe
from app.settings.schema import Duration, WholeNumber

blueprint = Blueprint("logs", __name__, description="What executions say")

JSON = "application/json"
ENCODERS = {SSE: sse, NDJSON: ndjson, TEXT: text}
_SLICE = 500

_encoded: WeakKeyDictionary[LogPage, bytes] = WeakKeyDictionary()


class LogArgsSchema(ArgumentsSchema):
    """Which entries, and how long to wait for them."""

    start = WholeNumber(
        data_key="from",
        load_default=0,
        validate=validate.Range(0, LARGEST_INDEX),
        metadata={"description": "Index of the first entry, counted within the filter"},
    )
    size = WholeNumber(
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
    levels = levels_field()
    after = WholeNumber(
        validate=validate.Range(-1, LARGEST_INDEX),
        metadata={"description": "Begin behind this `index`; wins over `from`"},
    )
    follow = fields.Boolean(
        load_default=False, metadata={"description": "Follow a log that is asked for as text"}
    )
    ticket = fields.String(metadata={"description": "A ticket, in place of credentials"})


class LogHeadersSchema(ma.Schema):
    """Where a stream was cut off."""

    last_event_id = WholeNumber(
        data_key="Last-Event-ID",
        validate=validate.Range(-1, LARGEST_INDEX),
        metadata={"description": "Id of the last event that you got; wins over `from`"},
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
    execution_status = status_field()
    execution_state = state_field()
    complete = fields.Boolean(required=True, metadata={"description": "No entry can come any more"})


@blueprint.route("/executions/<string:execution_id>/logs", methods=["GET"])
@blueprint.arguments(LogArgsSchema, location="query")
@blueprint.response(200, LogPageSchema)
@only_document(
    blueprint.arguments(LogHeadersSchema, location="headers"),
    blueprint.alt_response(200, schema={"type": "string"}, content_type=SSE),
    blueprint.alt_response(200, schema={"type": "string"}, content_type=NDJSON),
    blueprint.alt_response(200, schema={"type": "string"}, content_type=TEXT),
    blueprint.alt_response(204, description="Server-sent events: you have got all there was"),
    blueprint.alt_response(206, schema={"type": "string"}, content_type=TEXT),
    document_errors(blueprint, 401, 404, 406, 416, 429, *UPSTREAM),
    blueprint.doc(security=SECURITY),
)
def get_logs(args: dict[str, Any], execution_id: str) -> Response:
    """Read log entries; `Accept` chooses how.

    `application/json` waits for the first entry if there is none yet (long poll);
    `text/event-stream` and `application/x-ndjson` follow until the execution has ended;
    `text/plain` gives the log as lines, whole or followed.
    """
    chosen, last = _chosen(request.headers.get("Accept")), _last_event_id()
    levels = levels_of(args["levels"])
    if chosen == JSON:
        query = LogQuery(args["start"], args["size"], levels, args["timeout"], args.get("after"))
        page = services().logs.page(execution_id, caller(), query, request.remote_addr or "")
        return Response(_body(page), content_type=JSON)
    if chosen == TEXT and not args["follow"]:
        return download(execution_id, levels)
    after = args.get("after") if last is None else last
    if (
        chosen == SSE
        and after is not None
        and services().follow.has_ended(execution_id, caller(), after)
    ):
        return empty(204)
    follow = FollowQuery(levels, args["start"], after)
    events = services().follow.open(execution_id, caller_by_now(), follow)
    return stream(events, ENCODERS[chosen], chosen, caller())


def _last_event_id() -> int | None:
    if "Last-Event-ID" not in request.headers:  # as in every long poll
        return None
    headers = Blueprint.ARGUMENTS_PARSER.parse(LogHeadersSchema(), location="headers")
    last: int | None = headers.get("last_event_id")
    return last


@lru_cache(256)
def _chosen(accept: str | None) -> str:
    """Choose the form of the answer; JSON where the client does not care."""
    given = parse_accept_header(accept, MIMEAccept)
    wanted = MIMEAccept((name.partition(";")[0].strip(), quality) for name, quality in given)
    chosen = wanted.best_match([JSON, SSE, NDJSON, TEXT], "" if wanted else JSON)
    if not chosen:
        raise NotAcceptable(f"A log can be had as {JSON}, {SSE}, {NDJSON} or {TEXT}.")
    return chosen


def _body(page: LogPage) -> bytes:
    """Give a page as JSON, written once for all who share it."""
    body = _encoded.get(page)
    if body is None:
        body = _encoded[page] = _encode(page)
    return body


def _encode(page: LogPage) -> bytes:
    """Write a page as JSON, past marshmallow, which takes eight times as long."""
    entries = bytearray()
    for start in range(0, len(page.entries), _SLICE):
        if start:
            entries += b","
            breathe()
        part = orjson.dumps([entry_json(e) for e in page.entries[start : start + _SLICE]])
        entries += part[1:-1]
    rest = {
        "total_results": page.total,
        "from": page.start,
        "execution_status": status_word(page.status),
        "execution_state": page.status,
        "complete": page.complete,
    }
    return b'{"logs":[%b],%b' % (bytes(entries), orjson.dumps(rest)[1:])

"""``/executions/<id>/logs`` of the root API: the long poll, streams, and the log as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import lru_cache, partial
from itertools import chain, islice
from threading import BoundedSemaphore
from typing import Any

import marshmallow as ma
import orjson
from flask import Response, request
from marshmallow import fields, validate
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import NotAcceptable
from werkzeug.http import parse_accept_header

from app.domain import Identity, Level, Permission
from app.resources._api import (
    LARGEST_INDEX,
    UPSTREAM,
    Blueprint,
    empty,
    only_document,
)
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller, caller_by_now
from app.resources._context import services
from app.resources._download import download
from app.resources._permissions import permission
from app.resources._streams import NDJSON, SSE, TEXT, ndjson, sse, stream, text
from app.resources._written import as_items, written
from app.resources.root.levels import levels_field, levels_of
from app.resources.root.statuses import state_field, status_field, status_word
from app.services.follow import FollowQuery
from app.services.logs import LogPage, LogQuery
from app.settings.schema import Duration, WholeNumber

blueprint = Blueprint("logs", __name__, description="What executions say")

JSON = "application/json"
ENCODERS = {SSE: sse, NDJSON: ndjson, TEXT: text}
_PAGE_BYTES = 4 * 1024 * 1024
"""A page ends with the stretch that makes it so long."""

_KEPT_PAGES = BoundedSemaphore(16)
"""How many long pages are kept until they are taken; the parts of others are read a second time."""


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
        load_default="58s",  # clients that name no time give up after a minute of their own
        metadata={
            "type": "string", "default": "1m",
            "description": "How long to wait, such as `1m30s`; the default ends somewhat earlier",
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
    blueprint.errors(404, 406, 416, 429, *UPSTREAM),
)
@permission(Permission.EXECUTIONS_READ, ticket=True)
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
        return _page(page, caller())
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


def _page(page: LogPage, identity: Identity) -> Response:
    """Answer with a page, at once if it is short."""
    turn = partial(services().turns.turn, page.owner)
    parts = (written(as_items, stretch, turn) for stretch in page.stretches())
    first, second = next(parts, b""), next(parts, None)
    head, tail = b'{"logs":[', b"]," + orjson.dumps(_rest(page))[1:]
    if second is None:
        return Response(head + first + tail, content_type=JSON)
    with ExitStack() as until_written:
        until_written.enter_context(services().places.place(identity, "page"))
        kept: list[bytes] | None = None
        if _KEPT_PAGES.acquire(blocking=False):
            until_written.callback(_KEPT_PAGES.release)
            kept = []
        sizes = _measure(chain([first, second], parts), kept)
        length = len(head) + sum(sizes) + len(sizes) - 1 + len(tail)
        again = kept or (written(as_items, stretch, turn) for stretch in page.stretches())
        body = chain([head], _separated(islice(again, len(sizes))), [tail])
        response = Response(body, content_type=JSON, headers={"Content-Length": str(length)})
        response.call_on_close(until_written.pop_all().close)
        return response


def _measure(parts: Iterable[bytes], kept: list[bytes] | None) -> list[int]:
    """Give the sizes of the parts that make up a page, and keep the parts where there is room."""
    sizes: list[int] = []
    for part in parts:
        sizes.append(len(part))
        if kept is not None:
            kept.append(part)
        if sum(sizes) >= _PAGE_BYTES:
            break
    return sizes


def _separated(parts: Iterable[bytes]) -> Iterator[bytes]:
    for place, part in enumerate(parts):
        if place:
            yield b","
        yield part


def _rest(page: LogPage) -> dict[str, Any]:
    return {
        "total_results": page.total,
        "from": page.start,
        "execution_status": status_word(page.status),
        "execution_state": page.status,
        "complete": page.complete,
    }

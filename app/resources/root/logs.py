"""``/executions/<id>/logs`` of the root API: the long poll, streams, and the log as text."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import marshmallow as ma
from flask import Response, request
from marshmallow import fields, validate
from werkzeug.exceptions import NotAcceptable

from app.domain import Permission
from app.resources._api import (
    LARGEST_INDEX,
    UPSTREAM,
    Blueprint,
    LastEventId,
    empty,
    only_document,
)
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller, caller_by_now
from app.resources._conditional import Conditions
from app.resources._context import services
from app.resources._download import download
from app.resources._held import answered
from app.resources._limits import cost, waits_by
from app.resources._log_page import answer_page
from app.resources._permissions import permission
from app.resources._streams import stream
from app.resources.root.accepted import accepted
from app.resources.root.encoders import ENCODERS, PAGES, RootPage, RootSse, RootText, encoder_of
from app.resources.root.forms import Form, execution_parameter, form_of
from app.resources.root.levels import levels_field, levels_of
from app.resources.root.one_task import grep_field, refuse_two_beginnings, tail_field, task_field
from app.resources.root.serialisers.entries import LogEntrySchema
from app.resources.root.statuses import AWF_STATUSES, STATUSES, state_field, status_field
from app.resources.root.ticket import ticket_field
from app.services.follow import FollowQuery
from app.services.logs import LogQuery
from app.settings.schema import Duration, WholeNumber

blueprint = Blueprint("logs", __name__, description="What executions say")

JSON = RootPage.content_type
SSE = RootSse.content_type
TEXT = RootText.content_type

_OF_A_PAGE = ("from", "size", "timeout", "levels")
"""The parameters of a request for a page, which no request of the AWF API has."""


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
        metadata={
            "description": "Most entries of a page, or of text that is not followed; -1 for all, 0 "
            "for the total only"
        },
    )
    timeout = Duration(
        load_default="58s",  # clients that name no time give up after a minute of their own
        metadata={
            "default": "1m",
            "description": "How long to wait, such as `1m30s`; the default ends somewhat earlier",
        },
    )  # fmt: skip
    levels = levels_field()
    after = WholeNumber(
        validate=validate.Range(-1, LARGEST_INDEX),
        metadata={"description": "Begin behind this `index`; wins over `from`"},
    )
    task = task_field()
    grep = grep_field()
    tail = tail_field()
    follow = fields.Boolean(
        load_default=False, metadata={"description": "Follow a log that is asked for as text"}
    )
    ticket = ticket_field()


class LogHeadersSchema(ma.Schema):
    """Where a stream was cut off."""

    last_event_id = LastEventId("Id of the last event that you got; wins over `from`")


class LogPageSchema(ma.Schema):
    """Entries of a log."""

    logs = fields.List(fields.Nested(LogEntrySchema), required=True)
    total_results = fields.Integer(required=True)
    from_ = fields.Integer(data_key="from", required=True)
    execution_status = status_field((*STATUSES, *AWF_STATUSES))
    execution_state = state_field()
    complete = fields.Boolean(
        required=True, metadata={"description": "It ends with the last entry that can come"}
    )


_waits = waits_by("timeout", by_default=True)


def _is_poll() -> bool:
    form = form_of((request.view_args or {})["execution_id"])
    with suppress(NotAcceptable):
        return _waits() and _wanted(form) == JSON
    return False


@blueprint.route(
    "/executions/<string:execution_id>/logs", methods=["GET"], parameters=execution_parameter()
)
@blueprint.arguments(LogArgsSchema, location="query")
@blueprint.response(200, LogPageSchema)
@only_document(
    blueprint.arguments(LogHeadersSchema, location="headers"),
    *(
        blueprint.alt_response(200, schema={"type": "string"}, content_type=form)
        for form in ENCODERS
    ),
    blueprint.alt_response(204, description="Server-sent events: you have got all there was"),
    blueprint.alt_response(206, schema={"type": "string"}, content_type=TEXT),
    blueprint.errors(404, 406, 410, 416, 429, *UPSTREAM),
)
@cost(is_poll=_is_poll)
@permission(Permission.EXECUTIONS_READ, ticket=True)
def get_logs(args: dict[str, Any], execution_id: str) -> Response:
    """Read log entries; `Accept` chooses how.

    `application/json` waits for the first entry if there is none yet (long poll);
    `text/event-stream` and `application/x-ndjson` follow until the execution has ended;
    `text/plain` gives the log as lines, whole or followed. Where `Accept` leaves it open, an
    execution that is asked for by its name is followed as server-sent events, unless one of `from`,
    `size`, `timeout` and `levels` is given; all others get JSON.
    """
    response = _logs(args, execution_id, form_of(execution_id))
    response.headers.setdefault("Vary", "Accept")
    return response


def _logs(args: Mapping[str, Any], execution_id: str, form: Form) -> Response:
    chosen = _wanted(form)
    last = _last_event_id()
    refuse_two_beginnings(args)
    query = LogQuery(
        args["start"], args["size"], levels_of(args["levels"]), args["timeout"],
        args.get("after"), args.get("task"), args.get("tail"), args.get("grep"),
    )  # fmt: skip
    if chosen == JSON:
        steps = services().logs.steps(execution_id, caller(), query, request.remote_addr or "")
        answer = partial(
            answer_page, encoder=PAGES[form], identity=caller(), bundle=services(),
            conditions=Conditions.of_request(),
        )  # fmt: skip
        return answered(steps, answer)
    if chosen == TEXT and not args["follow"]:
        return download(execution_id, query)
    after = args.get("after") if last is None else last
    if (
        chosen == SSE
        and after is not None
        and services().follow.has_ended(execution_id, caller(), after)
    ):
        return empty(204)
    follow = FollowQuery(query.levels, query.start, after, query.task, query.tail, query.grep)
    events = services().follow.steps(execution_id, caller_by_now(), follow)
    return stream(events, encoder_of(chosen, form), caller())


def _last_event_id() -> int | None:
    if "Last-Event-ID" not in request.headers:  # as in every long poll
        return None
    headers = Blueprint.ARGUMENTS_PARSER.parse(LogHeadersSchema(), location="headers")
    last: int | None = headers.get("last_event_id")
    return last


def _wanted(form: Form) -> str:
    """Choose the form of the answer to the current request.

    Raises:
        NotAcceptable: There is none that the client takes.
    """
    sse_first = form is Form.AWF and request.args.keys().isdisjoint(_OF_A_PAGE)
    offered = [JSON, *ENCODERS]
    if sse_first:
        offered.remove(SSE)
        offered.insert(0, SSE)
    return accepted(offered, "A log")

"""``/executions/events``, ``/executions/<id>/ws`` and tickets of the root API."""

from __future__ import annotations

from functools import partial
from typing import Any

import marshmallow as ma
from flask import Response
from flask.blueprints import BlueprintSetupState
from marshmallow import fields, validate

from app.domain import Permission
from app.resources._api import LARGEST_INDEX, UPSTREAM, Blueprint
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller, caller_by_now
from app.resources._context import services
from app.resources._permissions import permission
from app.resources._streams import converse, stream
from app.resources.root.accepted import accepted
from app.resources.root.encoders import EVENT_ENCODERS, MESSAGES, EventNdjson, EventSse
from app.resources.root.forms import execution_parameter, form_of
from app.resources.root.levels import levels_field, levels_of
from app.resources.root.one_task import grep_field, refuse_two_beginnings, tail_field, task_field
from app.resources.root.ticket import TICKET, ticket_field
from app.services.follow import FollowQuery
from app.settings.schema import WholeNumber

blueprint = Blueprint("streams", __name__, description="Following over one open connection")

_WS = "/executions/<string:execution_id>/ws"


class EventArgsSchema(ArgumentsSchema):
    """Who asks, where credentials cannot be sent."""

    ticket = ticket_field()


class WebSocketArgsSchema(EventArgsSchema):
    """What to follow."""

    start = WholeNumber(data_key="from", load_default=0, validate=validate.Range(0, LARGEST_INDEX))
    after = WholeNumber(validate=validate.Range(-1, LARGEST_INDEX))
    levels = levels_field()
    task = task_field()
    grep = grep_field()
    tail = tail_field()


class TicketSchema(ma.Schema):
    """A ticket that opens one stream, once."""

    ticket = fields.String(required=True, metadata=TICKET.schema())
    expires_in = fields.Float(required=True, metadata={"description": "Seconds"})


@blueprint.route("/executions/events", methods=["GET"])
@blueprint.arguments(EventArgsSchema, location="query")
@blueprint.response(200, {"type": "string"}, content_type=EventSse.content_type)
@blueprint.alt_response(200, schema={"type": "string"}, content_type=EventNdjson.content_type)
@blueprint.errors(406, 429, 503)
@permission(Permission.EXECUTIONS_READ, ticket=True)
def follow_events(_args: dict[str, Any]) -> Response:
    """Follow the statuses of all executions that you may see.

    It begins with those that have not ended. `Accept` chooses between server-sent events, which are
    the default, and lines of JSON (`application/x-ndjson`).
    """
    encoder = EVENT_ENCODERS[accepted([*EVENT_ENCODERS], "Events")]
    response = stream(services().events.steps(caller_by_now()), encoder, caller())
    response.vary.add("Accept")
    return response


@blueprint.route(
    "/executions/<string:execution_id>/tickets", methods=["POST"], parameters=execution_parameter()
)
@blueprint.response(201, TicketSchema)
@blueprint.errors(404, 410, *UPSTREAM)
@permission(Permission.EXECUTIONS_READ)
def create_ticket(execution_id: str) -> Any:
    """Get a ticket, for `?ticket=` on streams: a browser cannot set headers on those.

    It does so for one request to the log of this execution, once: a stream, the whole text, or a
    page, which may be waited for. HEAD leaves it as it is. `events` in place of the id stands for
    `/executions/events`.
    """
    ticket, expires_in = services().tickets.give(execution_id, caller())
    return {"ticket": ticket, "expires_in": expires_in}


@blueprint.route(_WS, methods=["GET"], parameters=execution_parameter())
@blueprint.arguments(WebSocketArgsSchema, location="query")
@blueprint.response(101, description="A WebSocket: JSON messages with a `type`")
@blueprint.errors(400, 404, 410, 429, 501, *UPSTREAM)
@permission(Permission.EXECUTIONS_READ, ticket=True)
def follow_websocket(args: dict[str, Any], execution_id: str) -> Response:
    """Follow an execution over a WebSocket: log, status, tasks and metrics."""
    identity = caller()
    refuse_two_beginnings(args)
    query = FollowQuery(
        levels_of(args["levels"]), args["start"], args.get("after"), args.get("task"),
        args.get("tail"), args.get("grep"),
    )  # fmt: skip
    events = services().follow.open(execution_id, caller_by_now(), query)
    turn = partial(services().turns.turn, identity.username)
    messages = MESSAGES[form_of(execution_id)](services().follow.tasks)
    return converse(events, messages, identity, turn)


def _route_upgrades(state: BlueprintSetupState) -> None:
    """Lead requests for an upgrade to the view, too: Werkzeug keeps them apart from all others."""
    state.add_url_rule(_WS, "follow_websocket", websocket=True)


blueprint.record(_route_upgrades)

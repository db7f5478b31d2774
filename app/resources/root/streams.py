"""``/executions/events``, ``/executions/<id>/ws`` and tickets of the root API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import marshmallow as ma
import orjson
from flask import Response, request
from flask.blueprints import BlueprintSetupState
from marshmallow import fields, validate

from app.domain import Execution, Permission, Task, TaskStatus
from app.resources._api import LARGEST_INDEX, UPSTREAM, Blueprint
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller, caller_by_now
from app.resources._context import services
from app.resources._permissions import permission
from app.resources._streams import SSE, event_json, observe_lag, sse, stream
from app.resources._websocket import Closed, Hijacked, WebSocket, text_frame
from app.resources._written import entry_json, written
from app.resources.root.executions import task_document
from app.resources.root.levels import levels_field, levels_of
from app.services.follow import (
    Batch,
    Changed,
    Ended,
    Event,
    Expired,
    FollowQuery,
    Heartbeat,
    Moved,
    StatusChanged,
)
from app.services.stretches import Stretch
from app.services.turns import Turn
from app.settings.schema import WholeNumber

blueprint = Blueprint("streams", __name__, description="Following over one open connection")

_WS = "/executions/<string:execution_id>/ws"
_NORMAL = 1000
_GOING_AWAY = 1001
_POLICY = 1008
_TASKS = 100
"""How many are written in one turn."""


class EventArgsSchema(ArgumentsSchema):
    """Who asks, where credentials cannot be sent."""

    ticket = fields.String(metadata={"description": "A ticket, in place of credentials"})


class WebSocketArgsSchema(EventArgsSchema):
    """What to follow."""

    start = WholeNumber(data_key="from", load_default=0, validate=validate.Range(0, LARGEST_INDEX))
    after = WholeNumber(validate=validate.Range(-1, LARGEST_INDEX))
    levels = levels_field()


class TicketSchema(ma.Schema):
    """A ticket that opens one stream, once."""

    ticket = fields.String(required=True)
    expires_in = fields.Float(required=True, metadata={"description": "Seconds"})


@blueprint.route("/executions/events", methods=["GET"])
@blueprint.arguments(EventArgsSchema, location="query")
@blueprint.response(200, {"type": "string"}, content_type=SSE)
@blueprint.errors(429, 503)
@permission(Permission.EXECUTIONS_READ, ticket=True)
def follow_events(_args: dict[str, Any]) -> Response:
    """Follow the statuses of all executions that you may see, as server-sent events.

    It begins with those that have not ended.
    """
    return stream(services().events.open(caller_by_now()), sse, SSE, caller())


@blueprint.route("/executions/<string:execution_id>/tickets", methods=["POST"])
@blueprint.response(201, TicketSchema)
@blueprint.errors(404, *UPSTREAM)
@permission(Permission.EXECUTIONS_READ)
def create_ticket(execution_id: str) -> Any:
    """Get a ticket, for `?ticket=` on streams: a browser cannot set headers on those.

    It opens one stream of this execution, once; `events` in place of the id stands for
    `/executions/events`.
    """
    ticket, expires_in = services().tickets.give(execution_id, caller())
    return {"ticket": ticket, "expires_in": expires_in}


@blueprint.route(_WS, methods=["GET"])
@blueprint.arguments(WebSocketArgsSchema, location="query")
@blueprint.response(101, description="A WebSocket: JSON messages with a `type`")
@blueprint.errors(400, 404, 429, 501, *UPSTREAM)
@permission(Permission.EXECUTIONS_READ, ticket=True)
def follow_websocket(args: dict[str, Any], execution_id: str) -> Response:
    """Follow an execution over a WebSocket: log, status, tasks and metrics."""
    identity = caller()
    query = FollowQuery(levels_of(args["levels"]), args["start"], args.get("after"))
    events = services().follow.open(execution_id, caller_by_now(), query)
    turn = partial(services().turns.turn, identity.username)
    with services().places.stream(identity, "websocket"):
        messages, opened_at = Messages(services().follow.tasks, turn), time.time()
        try:
            ws = WebSocket(request.environ, turn)
            for event in events:
                if isinstance(event, Heartbeat):
                    ws.ping()
                if isinstance(event, Batch):
                    observe_lag(services().metrics, event, opened_at)
                for frames in messages.of(event):
                    ws.send(frames)
                if isinstance(event, Ended | Moved | Expired):
                    ws.close(*_closing(event))
        except Closed:
            pass
    return Hijacked()


def _route_upgrades(state: BlueprintSetupState) -> None:
    """Lead requests for an upgrade to the view, too: Werkzeug keeps them apart from all others."""
    state.add_url_rule(_WS, "follow_websocket", websocket=True)


blueprint.record(_route_upgrades)


def _closing(event: Ended | Moved | Expired) -> tuple[int, str]:
    """Give the code and the reason of the end; the cursor, where there is more to read."""
    match event:
        case Ended(status):
            return _NORMAL, f"the execution has ended: {status}"
        case Moved(following):
            return _GOING_AWAY, f"come back with after={following - 1}"
        case Expired(reason):
            return _POLICY, reason


class Messages:
    """Turns the events of one reader into JSON messages, with what changed of the tasks.

    Args:
        tasks: Gives the tasks of an execution as they are now.
        turn: Taken where there is much to write.
    """

    def __init__(self, tasks: Callable[[Execution], Sequence[Task]], turn: Turn) -> None:
        self._tasks = tasks
        self._turn = turn
        self._shown: dict[str, Task] = {}

    def of(self, event: Event) -> Iterator[bytes]:
        """Give the messages of an event, as frames, some together."""
        if isinstance(event, Batch):
            yield written(_as_frames, event, self._turn)
            return
        if not isinstance(event, Changed | Heartbeat):
            yield _frame(*event_json(event))
        if isinstance(event, StatusChanged | Changed):
            yield from self._changes(event.execution)

    def _changes(self, execution: Execution) -> Iterator[bytes]:
        tasks = self._tasks(execution)
        changed = [task for task in tasks if self._shown.get(task.name) != task]
        for start in range(0, len(changed), _TASKS):
            with self._turn():
                some = changed[start : start + _TASKS]
                self._shown.update((task.name, task) for task in some)
                frames = b"".join(_frame("task", task_document(task)) for task in some)
            yield frames
        if changed:
            done = sum(task.status.final for task in tasks)
            running = sum(task.status is TaskStatus.RUNNING for task in tasks)
            numbers = {"tasks": len(tasks), "tasks_done": done, "tasks_running": running}
            yield _frame("metrics", numbers)


def _as_frames(stretch: Stretch) -> bytes:
    """Write entries as messages of a WebSocket."""
    return b"".join(_frame("log", entry_json(entry)) for entry in stretch.entries)


def _frame(name: str, data: dict[str, Any]) -> bytes:
    return text_frame(orjson.dumps({"type": name, **data}))

"""``/api/v1/executions/<id>/ws``: the metrics of an execution, live."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Final

import orjson
from flask import Response
from flask.blueprints import BlueprintSetupState

from app.domain import Execution, ExecutionMetrics, Permission
from app.errors import NotAuthenticated, NotFound
from app.resources._auth import caller, caller_by_now
from app.resources._context import services
from app.resources._encoders import End, Ready, Told, WebSocketEncoder
from app.resources._permissions import permission
from app.resources._streams import converse
from app.resources._websocket import text_frame
from app.resources.engine_v1.behind import execution_of, require_load
from app.resources.engine_v1.figures import message_json
from app.resources.engine_v1.requests import Blueprint
from app.services.follow import Ended, Event, Expired, Heartbeat, Moved, Rhythm

blueprint = Blueprint("streams", __name__, description="Following over one open connection")
blueprint.before_request(require_load)

_WS: Final = "/executions/<string:execution_id>/ws"


class MetricsMessages(WebSocketEncoder):
    """Messages of the metrics, which nobody can go on from: a new connection begins with all."""

    def told(self, event: Told) -> bytes:
        """Write nothing of it: there are messages of the metrics alone."""
        return b""

    def closing(self, event: End) -> tuple[int, str]:
        """Return the code (RFC 6455, 7.4) and the reason of the end."""
        return (1001, "come back") if isinstance(event, Moved) else super().closing(event)


@blueprint.route(_WS, methods=["GET"])
@blueprint.response(101, description="A WebSocket: JSON messages with the metrics")
@blueprint.errors(400, 404, 410, 429, 501, 503)
@permission(Permission.EXECUTIONS_READ, ticket=True)
def follow_metrics(execution_id: str) -> Response:
    """Follow the metrics of an execution: a message at once, one each second, and a last one.

    What clients say is ignored. The connection is closed with 1000 when the execution has ended.
    """
    identity, execution = caller(), execution_of(execution_id)
    messages = services().load_metrics.watch(execution.id, caller_by_now(), message)
    turn = partial(services().turns.turn, identity.username)
    return converse(_events(execution, messages), MetricsMessages(), identity, turn)


def message(_: Execution, metrics: ExecutionMetrics) -> Ready:
    """Write a message of this moment, for all who watch the execution."""
    return Ready(text_frame(orjson.dumps(message_json(metrics, datetime.now(UTC)))))


def _events(
    execution: Execution, messages: Generator[Ready, None, None]
) -> Generator[Event | Ready, None, None]:
    """Follow messages to their end, and tell which end that is.

    The connection is tried now and then: messages alone are taken by a dead one for long.
    """
    rhythm = Rhythm(services().settings.streams.heartbeat)
    with closing(messages):
        try:
            for each in messages:
                yield each
                if not rhythm.silence_left():
                    yield Heartbeat()
                    rhythm.spoke()
            status = services().executions.get(execution.id, caller()).status
        except (NotAuthenticated, NotFound) as exc:
            yield Expired(exc.message)
            return
    yield Ended(status, 0) if status.final else Moved(0)


def _route_upgrades(state: BlueprintSetupState) -> None:
    """Lead requests for an upgrade to the view, too: Werkzeug keeps them apart from all others."""
    state.add_url_rule(_WS, "follow_metrics", websocket=True)


blueprint.record(_route_upgrades)

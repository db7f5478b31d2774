"""Where slaves connect: one WebSocket for each, whatever APIs are spoken."""

from __future__ import annotations

from contextlib import closing
from functools import partial

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState

from app.domain import Permission
from app.errors import CapabilityMissing
from app.resources._access_log import AccessLog
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.resources._streams import to_its_end
from app.resources._websocket import Closed, Hijacked, WebSocket, text_frame
from app.services.slave_line import Line

PATH = "/api/v1/slave-ws"

blueprint = Blueprint("slave_socket", __name__)


@blueprint.get(PATH)
@permission(Permission.NODES_JOIN)
def connect() -> Response:
    """Join as a slave, over a WebSocket.

    Raises:
        BadRequest: The request is no WebSocket handshake.
        CapabilityMissing: No orchestrator has work for slaves.
        LimitExceeded: As many connections are held as may be.
    """
    bundle, identity, line = services(), caller(), Line()
    if bundle.slaves is None:
        raise CapabilityMissing("No orchestrator of this service has work for slaves.")
    with bundle.places.place(identity, "slave"):
        try:
            turn = partial(bundle.turns.turn, identity.username)
            ws = WebSocket(request.environ, turn, line)
        except Closed:
            return Hijacked()
        AccessLog(bundle.settings.observability.access_log).opened()
        with to_its_end(ws):
            with closing(bundle.slaves.serve(line, identity)) as texts:
                for text in texts:
                    ws.send(text_frame(text))
            if line.goodbye is not None:
                ws.close(line.goodbye.code, line.goodbye.reason)
    return Hijacked()


def _route_upgrades(state: BlueprintSetupState) -> None:
    """Lead requests for an upgrade to the view, too: Werkzeug keeps them apart from all others."""
    state.add_url_rule(PATH, "connect", websocket=True)


blueprint.record(_route_upgrades)

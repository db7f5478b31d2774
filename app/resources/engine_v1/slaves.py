"""``/api/v1/slaves``: the processes that run virtual users."""

from __future__ import annotations

from typing import Any, Final

import marshmallow as ma
from marshmallow import fields

from app.domain import Permission
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.resources.engine_v1.behind import require_load
from app.resources.engine_v1.entities import SlaveSchema, slave_json
from app.resources.engine_v1.requests import Blueprint, DoneSchema, done

blueprint = Blueprint(
    "slaves", __name__, url_prefix="/slaves", description="Processes that run virtual users"
)
blueprint.before_request(require_load)

_SLAVE: Final = "/<string:slave_id>"


class SlaveListSchema(ma.Schema):
    """Slaves."""

    slaves = fields.List(fields.Nested(SlaveSchema), required=True)
    total = fields.Integer(required=True)


@blueprint.route("", methods=["GET"])
@blueprint.response(200, SlaveListSchema)
@blueprint.errors(501, 503)
@permission(Permission.NODES_READ)
def list_slaves() -> Any:
    """List the slaves, those among them that were here lately and are away."""
    nodes = services().nodes.slaves.all(caller())
    return {"slaves": [slave_json(node) for node in nodes], "total": len(nodes)}


@blueprint.route(_SLAVE, methods=["GET"])
@blueprint.response(200, SlaveSchema)
@blueprint.errors(404, 501, 503)
@permission(Permission.NODES_READ)
def get_slave(slave_id: str) -> Any:
    """Get a slave."""
    return slave_json(services().nodes.slaves.get(slave_id, caller()))


@blueprint.route(f"{_SLAVE}/drain", methods=["POST"])
@blueprint.response(200, DoneSchema)
@blueprint.errors(404, 501, 503)
@permission(Permission.NODES_WRITE, action="nodes:drain")
def drain_slave(slave_id: str) -> Any:
    """Drain a slave: it gets no new executions, and those that it works for go on to their end."""
    services().nodes.slaves.drain(slave_id, caller())
    return done("Slave drain initiated successfully")

"""``/audit`` of the root API: who did what."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.domain import Permission
from app.resources._api import Blueprint
from app.resources._audit_args import AuditArgsSchema, filter_of
from app.resources._context import services
from app.resources._cursors import next_cursor
from app.resources._permissions import permission
from app.resources.root.serialisers.audit import AuditEventSchema

blueprint = Blueprint("audit", __name__, description="Who did what")


class AuditPageSchema(ma.Schema):
    """Events, newest first."""

    events = fields.List(fields.Nested(AuditEventSchema), required=True)
    next = next_cursor(
        ". A page may hold fewer events than were asked for, and still not be the last"
    )


@blueprint.route("/audit", methods=["GET"])
@blueprint.arguments(AuditArgsSchema, location="query")
@blueprint.response(200, AuditPageSchema)
@blueprint.errors(422, 503)
@permission(Permission.AUDIT_READ)
def list_audit(args: dict[str, Any]) -> Any:
    """Read who did what, newest first: changes, and every access that was denied."""
    found, rest = services().audit.find(filter_of(args), args.get("cursor"), args["page_size"])
    return {"events": [entry.event for entry in found], "next": rest}

"""``/audit`` of the root API: who did what."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.domain import AuditFilter, AuditResult, Permission
from app.resources._api import Blueprint, Name
from app.resources._context import services
from app.resources._cursors import CursorPageArgsSchema, next_cursor
from app.resources._permissions import permission
from app.resources.root.serialisers.audit import AuditEventSchema

blueprint = Blueprint("audit", __name__, description="Who did what")

_MOMENT = {
    "description": "A moment (RFC 3339); UTC unless it says otherwise",
    "example": "2026-01-31T12:00:00Z",
}


def _moment() -> fields.AwareDateTime:
    return fields.AwareDateTime(
        format="iso", default_timezone=UTC, metadata=_MOMENT,
        error_messages={"invalid": "must be a moment such as 2026-01-31T12:00:00Z"},
    )  # fmt: skip


class AuditArgsSchema(CursorPageArgsSchema):
    """Which events."""

    user = Name(metadata={"description": "User name", "example": "ada"})
    action = Name(
        metadata={
            "description": "Such as `executions:cancel` or `sign-in`",
            "example": "executions:cancel",
        }
    )
    result = fields.Enum(AuditResult, by_value=True)
    target = Name(
        metadata={"description": "The target, or what stands above it", "example": "/executions"}
    )
    since = _moment()
    until = _moment()


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
    wanted = AuditFilter(
        args.get("user"), args.get("action"), args.get("result"), args.get("target"),
        args.get("since"), args.get("until"),
    )  # fmt: skip
    found, rest = services().audit.find(wanted, args.get("cursor"), args["page_size"])
    return {"events": [entry.event for entry in found], "next": rest}

"""Which events of the audit somebody asks for, by an API or on a page."""

from __future__ import annotations

from datetime import UTC
from typing import Any, Final

from marshmallow import fields

from app.domain import AuditFilter, AuditResult
from app.resources._api import Name
from app.resources._cursors import CursorPageArgsSchema

_MOMENT: Final = {
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


def filter_of(args: dict[str, Any]) -> AuditFilter:
    """Return what arguments ask for."""
    return AuditFilter(
        args.get("user"), args.get("action"), args.get("result"), args.get("target"),
        args.get("since"), args.get("until"),
    )  # fmt: skip

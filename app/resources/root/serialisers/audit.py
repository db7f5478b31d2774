"""How the root API writes audited events."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import fields

from app.domain import AuditResult
from app.resources._api import Timestamp


class AuditEventSchema(ma.Schema):
    """Who did what."""

    at = Timestamp(required=True)
    action = fields.String(
        required=True,
        metadata={"description": "A permission such as `executions:cancel`, or `sign-in`"},
    )
    result = fields.Enum(
        AuditResult, by_value=True, required=True,
        metadata={"description": "`denied`: not allowed, or nobody knows who asked; `refused`: "
                  "not possible; `failed`: the service was at fault"},
    )  # fmt: skip
    target = fields.String(
        required=True, metadata={"description": "Address of what it was about, such as `/users/a`"}
    )
    user = fields.String(
        attribute="username", required=True, allow_none=True,
        metadata={"description": "Who it was; of a failed sign-in, who was to be signed in"},
    )  # fmt: skip
    credential = fields.String(
        required=True, allow_none=True,
        metadata={"description": "The way to sign in, and its own id of the credential"},
    )  # fmt: skip
    address = fields.String(
        required=True, allow_none=True, metadata={"description": "Where the request came from"}
    )
    request_id = fields.String(required=True, allow_none=True)
    detail = fields.String(required=True)
    times = fields.Integer(
        required=True,
        metadata={"description": "How often within a minute; the first time is told apart"},
    )

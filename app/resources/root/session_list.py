"""``/sessions`` of the root API: where somebody has signed in with a browser, and ending that."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from flask import Response
from marshmallow import fields

from app.domain import Permission
from app.resources._api import Blueprint, Name, Timestamp, empty
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission

blueprint = Blueprint("session_list", __name__, description="Sessions of browsers, from wherever")


class ListedSessionSchema(ma.Schema):
    """What is known of a session."""

    id = fields.String(
        required=True, metadata={"description": "Names the session, and opens nothing"}
    )
    username = fields.String(required=True)
    begun_with = fields.String(
        required=True, metadata={"description": "How they signed in, such as `basic` or `oidc`"}
    )
    address = fields.String(
        required=True, allow_none=True, metadata={"description": "From where it was begun"}
    )
    user_agent = fields.String(
        required=True, allow_none=True,
        metadata={"description": "What the browser called itself then"},
    )  # fmt: skip
    created_at = Timestamp(required=True)
    last_used_at = Timestamp(
        required=True,
        metadata={"description": "To the minute"},
    )
    expires_at = Timestamp(required=True)
    current = fields.Boolean(
        required=True, metadata={"description": "Whether this request is made in it"}
    )


class SessionArgsSchema(ArgumentsSchema):
    """Whose sessions."""

    user = Name(
        metadata={"description": "Whose; of others only for who manages users", "example": "ada"}
    )


class EndSessionsArgsSchema(SessionArgsSchema):
    """Which sessions end."""

    keep_current = fields.Boolean(
        load_default=False,
        metadata={"description": "The one in which this request is made, if any, goes on"},
    )


class EndedSessionsSchema(ma.Schema):
    """What was ended."""

    ended = fields.Integer(
        required=True,
        metadata={
            "description": "How many sessions, also such as were worth nothing before",
            "minimum": 0,
        },
    )


class SessionListSchema(ma.Schema):
    """The sessions of somebody that have not ended, newest first."""

    sessions = fields.List(fields.Nested(ListedSessionSchema), required=True)


@blueprint.route("/sessions", methods=["GET"])
@blueprint.arguments(SessionArgsSchema, location="query")
@blueprint.response(200, SessionListSchema)
@blueprint.errors(422, 503)
@permission(Permission.KEYS_READ)
def list_sessions(args: dict[str, Any]) -> Any:
    """List where you have signed in with a browser, newest first."""
    username = args.get("user", caller().username)
    return {"sessions": services().sessions.list(caller(), username)}


@blueprint.route("/sessions", methods=["DELETE"])
@blueprint.arguments(EndSessionsArgsSchema, location="query")
@blueprint.response(200, EndedSessionsSchema)
@blueprint.errors(422, 503)
@permission(Permission.KEYS_WRITE, action="sessions:end", recorded=True)
def end_all_sessions(args: dict[str, Any]) -> Any:
    """Sign out everywhere: end all sessions of yours, or all but the current one."""
    username = args.get("user", caller().username)
    kept = args["keep_current"]
    return {"ended": services().sessions.end_all(caller(), username, keep_current=kept)}


@blueprint.route("/sessions/<string:session_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.errors(404, 503)
@permission(Permission.KEYS_WRITE, action="sessions:end", recorded=True)
def end_one_session(session_id: str) -> Response:
    """End a session by its id; it is worth nothing within a quarter of a second, everywhere."""
    services().sessions.end_one(session_id, caller())
    return empty(204)

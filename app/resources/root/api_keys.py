"""``/api_keys`` of the root API: make, list and revoke the keys that programs sign in with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import marshmallow as ma
from flask import Response
from marshmallow import fields, validate

from app.domain import Permission, Role
from app.resources._api import Blueprint, Name, Timestamp, empty
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._cursors import CursorPageArgsSchema, next_cursor
from app.resources._permissions import permission
from app.resources.root.places import API_KEY_ID
from app.services.api_keys import LONGEST_NAME, Wish
from app.settings.schema import Duration

blueprint = Blueprint("api_keys", __name__, description="API keys, with which programs sign in")

_MOST_WORDS = 20


class NewApiKeySchema(ArgumentsSchema):
    """What a new key is to be."""

    name = fields.String(
        required=True, validate=validate.Length(1, LONGEST_NAME), metadata={"example": "nightly"}
    )
    expires_in = Duration(
        allow_none=True,
        metadata={
            "description": "Until it ends, such as `720h`; as long as the service allows unless "
            "given",
        },
    )
    roles = fields.List(
        fields.Enum(Role, by_value=True), allow_none=True, validate=validate.Length(1, _MOST_WORDS),
        metadata={"description": "What it may do; all that you may unless given"},
    )  # fmt: skip
    scopes = fields.List(
        fields.String(), allow_none=True, validate=validate.Length(1, _MOST_WORDS),
        metadata={"description": "What it is restricted to, such as `executions:read`"},
    )  # fmt: skip


class ApiKeySchema(ma.Schema):
    """What is known of a key."""

    id = fields.String(required=True, metadata=API_KEY_ID.schema())
    prefix = fields.String(required=True, metadata={"description": "Its first 8 characters"})
    name = fields.String(required=True)
    owner = fields.String(required=True)
    roles = fields.List(fields.Enum(Role, by_value=True), required=True)
    scopes = fields.List(fields.String(), required=True, allow_none=True)
    created_at = Timestamp(required=True)
    expires_at = Timestamp(required=True, allow_none=True)
    last_used_at = Timestamp(
        required=True, allow_none=True,
        metadata={"description": "To the minute; null where it was never used"},
    )  # fmt: skip


class CreatedApiKeySchema(ApiKeySchema):
    """A new key."""

    key = fields.String(
        required=True, metadata={"description": "The key itself, which is never shown again"}
    )


class ApiKeyArgsSchema(CursorPageArgsSchema):
    """Which keys."""

    owner = Name(
        metadata={"description": "Whose; of others only for who manages users", "example": "ada"}
    )
    all = fields.Boolean(
        load_default=False, metadata={"description": "Everybody's, for who manages users"}
    )


class ApiKeyPageSchema(ma.Schema):
    """Keys that were not revoked, newest first."""

    api_keys = fields.List(fields.Nested(ApiKeySchema), required=True)
    next = next_cursor()


@blueprint.route("/api_keys", methods=["POST"])
@blueprint.arguments(NewApiKeySchema)
@blueprint.response(201, CreatedApiKeySchema)
@blueprint.errors(400, 409, 413, 415, 422, 503)
@permission(Permission.KEYS_WRITE, action="api-keys:create", recorded=True)
def create_api_key(body: dict[str, Any]) -> Any:
    """Make an API key; keep it, it is shown only now."""
    wish = Wish(body["name"], body.get("roles"), body.get("scopes"), body.get("expires_in"))
    key, stored = services().api_keys.create(wish, caller())
    headers = {"Location": f"/api_keys/{stored.id}", "Cache-Control": "no-store"}
    return {"key": key, **_shown(stored)}, 201, headers


@blueprint.route("/api_keys", methods=["GET"])
@blueprint.arguments(ApiKeyArgsSchema, location="query")
@blueprint.response(200, ApiKeyPageSchema)
@blueprint.errors(422, 503)
@permission(Permission.KEYS_READ)
def list_api_keys(args: dict[str, Any]) -> Any:
    """List your API keys, newest first; the keys themselves nobody knows any more."""
    owner = None if args["all"] else args.get("owner", caller().username)
    found, rest = services().api_keys.list(caller(), owner, args.get("cursor"), args["page_size"])
    return {"api_keys": [_shown(key) for key in found], "next": rest}


@blueprint.route("/api_keys/<string:key_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.errors(404, 409, 503)
@permission(Permission.KEYS_WRITE, action="api-keys:revoke", recorded=True)
def revoke_api_key(key_id: str) -> Response:
    """Revoke an API key, by its id or its first 8 characters; it is worth nothing at once."""
    services().api_keys.revoke(key_id, caller())
    return empty(204)


def _shown(key: Any) -> dict[str, Any]:
    return {**asdict(key), "roles": sorted(key.roles)}

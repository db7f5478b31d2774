"""``/auth/token`` of the root API, and the keys by which other programs verify those tokens."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from flask import Response
from marshmallow import fields, validate

from app.domain import Permission
from app.errors import NotFound
from app.resources._api import Blueprint, write_json
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission, public
from app.resources._resource_metadata import PATH as METADATA_PATH
from app.resources._resource_metadata import metadata
from app.settings.schema import Duration

blueprint = Blueprint("tokens", __name__, description="Short-lived tokens in place of credentials")

_LONGEST_SCOPE = 500
_KEY_SET_TYPE = "application/jwk-set+json"
_KEY_SET_SECONDS = 60
"""How long other programs may use the keys before they look for newer ones."""


class NewTokenSchema(ArgumentsSchema):
    """What a token is to be."""

    scope = fields.String(
        allow_none=True, validate=validate.Length(1, _LONGEST_SCOPE),
        metadata={
            "description": "What it is restricted to, as words with spaces between, such as "
            "`executions:run executions:read` (RFC 6749, 3.3); as much as your credential unless "
            "given"
        },
    )  # fmt: skip
    expires_in = Duration(
        allow_none=True,
        metadata={
            "description": "Until it ends, such as `5m`; as long as the service allows unless "
            "given",
        },
    )


class TokenSchema(ma.Schema):
    """A token (RFC 6749, 5.1)."""

    access_token = fields.String(required=True, metadata={"description": "A signed JWT"})
    token_type = fields.String(required=True, validate=validate.OneOf(["Bearer"]))
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds until it ends"})
    scope = fields.String(required=True, metadata={"description": "What it is good for"})


class KeySetSchema(ma.Schema):
    """Public keys (RFC 7517, 5)."""

    keys = fields.List(fields.Dict(keys=fields.String()), required=True)


class ResourceMetadataSchema(ma.Schema):
    """Metadata of a protected resource (RFC 9728, 2)."""

    resource = fields.String(required=True, metadata={"description": "Address of the service"})
    authorization_servers = fields.List(
        fields.String(), required=True, metadata={"description": "Issuers of tokens"}
    )
    scopes_supported = fields.List(fields.String(), required=True)
    bearer_methods_supported = fields.List(fields.String(), required=True)
    resource_name = fields.String(required=True)
    slipway_client_id = fields.String(
        metadata={"description": "What a command line is called at the first of the issuers"}
    )


@blueprint.route("/auth/token", methods=["POST"])
@blueprint.arguments(NewTokenSchema)
@blueprint.response(200, TokenSchema)
@blueprint.errors(400, 409, 413, 415, 422, 503)
@permission(Permission.TOKENS_WRITE, action="tokens:create", recorded=True)
def create_token(body: dict[str, Any]) -> Any:
    """Get a short-lived token that stands for the credential of this request.

    It is sent as `Authorization: Bearer`. It ends with the credential at the latest, and at once
    when that is revoked, or the user is disabled or gets another password or other roles.
    """
    scope = body.get("scope")
    wished = None if scope is None else scope.split()
    token = services().tokens.issue(caller(), wished, body.get("expires_in"))
    answer = {
        "access_token": token.text,
        "token_type": "Bearer",
        "expires_in": token.seconds,
        "scope": " ".join(token.scopes),
    }
    return answer, 200, {"Cache-Control": "no-store", "Pragma": "no-cache"}


@blueprint.route("/.well-known/jwks.json", methods=["GET"])
@blueprint.response(200, KeySetSchema, content_type=_KEY_SET_TYPE)
@blueprint.errors(503)
@public
def get_key_set() -> Response:
    """Return the public keys by which other programs can verify tokens of this service."""
    response = Response(write_json(services().tokens.key_set()), content_type=_KEY_SET_TYPE)
    response.cache_control.max_age = _KEY_SET_SECONDS
    return response


@blueprint.route(METADATA_PATH, methods=["GET"])
@blueprint.response(200, ResourceMetadataSchema)
@blueprint.errors(404)
@public
def get_resource_metadata() -> Any:
    """Return where programs get tokens that are taken here (RFC 9728)."""
    found = metadata()
    if found is None:
        raise NotFound("This service takes tokens of no issuer.")
    return found

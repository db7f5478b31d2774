"""``/auth/identity`` of the root API: who somebody is to the service, and what they may do."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.domain import Permission, Role
from app.identity.permissions import is_allowed
from app.resources._api import Blueprint, Timestamp
from app.resources._auth import caller
from app.resources._permissions import permission

blueprint = Blueprint("identity", __name__, description="Who you are to the service")


class IdentitySchema(ma.Schema):
    """Who sends a request, and what they may do with the credential that they use."""

    username = fields.String(required=True)
    roles = fields.List(fields.Enum(Role, by_value=True), required=True)
    permissions = fields.List(
        fields.Enum(Permission, by_value=True),
        required=True,
        metadata={"description": "What endpoints may ask for (`x-permission`), and you have"},
    )
    restricted = fields.Boolean(
        required=True,
        metadata={"description": "Whether scopes keep you from some of what your roles allow"},
    )
    signed_in_with = fields.String(
        required=True,
        metadata={"description": "How, such as `basic` or `api_key`; `none` where nobody is asked"},
    )
    expires_at = Timestamp(required=True, allow_none=True)


@blueprint.route("/auth/identity", methods=["GET"])
@blueprint.response(200, IdentitySchema)
@blueprint.errors(503)
@permission(Permission.IDENTITY_READ)
def get_identity() -> Any:
    """Return who you are to this service, and what you may do with the credential that you use."""
    identity = caller()
    credential = identity.credential
    return {
        "username": identity.username,
        "roles": sorted(identity.roles or {Role.USER}, key=list(Role).index),
        "permissions": [each for each in Permission if is_allowed(identity, each)],
        "restricted": identity.scopes is not None,
        "signed_in_with": credential.authenticator,
        "expires_at": credential.expires_at,
    }

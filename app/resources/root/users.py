"""``/users`` of the root API: who may sign in."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import marshmallow as ma
from flask import Response, request
from marshmallow import fields, validate

from app.domain import Permission, Role
from app.resources._api import Blueprint, Name, Timestamp, empty
from app.resources._arguments import ArgumentsSchema, JsonBoolean
from app.resources._auth import caller
from app.resources._context import services
from app.resources._cursors import CURSOR, PageSizeArgsSchema, next_cursor
from app.resources._permissions import permission
from app.resources.root.places import USER
from app.services.users import LONGEST_PASSWORD, SHORTEST_PASSWORD, UserChange

blueprint = Blueprint("users", __name__, description="Who may sign in")


def _password(**more: Any) -> fields.String:
    text = f"{SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"
    metadata = {
        "format": "password", "description": text, "example": "correct horse battery staple",
        "minLength": SHORTEST_PASSWORD, "maxLength": LONGEST_PASSWORD,
    }  # fmt: skip
    return fields.String(metadata=metadata, **more)


def _roles(**more: Any) -> fields.List[Role]:
    each = fields.Enum(Role, by_value=True)
    return fields.List(each, validate=validate.Length(1, len(Role)), **more)


class UserSchema(ma.Schema):
    """A user."""

    username = fields.String(required=True)
    roles = fields.List(fields.Enum(Role, by_value=True), required=True)
    disabled = fields.Boolean(
        required=True, metadata={"description": "May not sign in, by whatever credential"}
    )
    configured = fields.Boolean(
        required=True,
        metadata={"description": "Stands in the settings, which say the password and the roles"},
    )
    has_password = fields.Boolean(required=True)
    created_at = Timestamp(required=True, allow_none=True)
    changed_at = Timestamp(required=True, allow_none=True)


class UserPageSchema(ma.Schema):
    """Users, in the order of their names."""

    users = fields.List(fields.Nested(UserSchema), required=True)
    next = next_cursor()


class UserPageArgsSchema(PageSizeArgsSchema):
    """Which stretch of the list."""

    cursor = Name(metadata={"description": CURSOR, "example": "ada"})


class NewUserSchema(ArgumentsSchema):
    """Who is added."""

    username = fields.String(required=True, metadata=USER.schema())
    password = _password(allow_none=True)
    roles = _roles(load_default=lambda: [Role.USER])
    again = JsonBoolean(
        load_default=False,
        metadata={"description": "The name may be that of a user who was removed, whose executions "
                  "and keys then belong to the new one"},
    )  # fmt: skip


class UserChangeSchema(ArgumentsSchema):
    """What becomes another; what is left out stays."""

    password = _password()
    roles = _roles()
    disabled = JsonBoolean()


class ForceSchema(ArgumentsSchema):
    """What to insist on."""

    force = fields.Boolean(
        load_default=False,
        metadata={"description": "Even if no admin is left who can sign in with a password"},
    )


class OwnPasswordSchema(ArgumentsSchema):
    """The password of now, and the one from now on."""

    old_password = fields.String(
        required=True,
        validate=validate.Length(max=LONGEST_PASSWORD),
        metadata={"format": "password", "example": "Tr0ub4dor&3"},
    )
    new_password = _password(required=True)


@blueprint.route("/users", methods=["GET"])
@blueprint.arguments(UserPageArgsSchema, location="query")
@blueprint.response(200, UserPageSchema)
@blueprint.errors(422, 503)
@permission(Permission.USERS_MANAGE)
def list_users(args: dict[str, Any]) -> Any:
    """List all users, those of the settings and those who were added."""
    found, rest = services().users.list(args.get("cursor", ""), args["page_size"])
    return {"users": found, "next": rest}


@blueprint.route("/users", methods=["POST"])
@blueprint.arguments(NewUserSchema)
@blueprint.response(201, UserSchema, headers={"Location": {"schema": {"type": "string"}}})
@blueprint.errors(400, 409, 413, 415, 422, 429, 503)
@permission(Permission.USERS_MANAGE, action="users:add", recorded=True)
def add_user(body: dict[str, Any]) -> Any:
    """Add a user, who can sign in at once."""
    made = services().users.add(
        body["username"], frozenset(body["roles"]), body.get("password"),
        again=body["again"], by=caller().username,
    )  # fmt: skip
    return made, {"Location": f"/users/{quote(made.username)}"}


@blueprint.route("/users/<path:username>", methods=["GET"])
@blueprint.response(200, UserSchema)
@blueprint.errors(404, 422, 503)
@permission(Permission.USERS_MANAGE)
def get_user(username: str) -> Any:
    """Return a user."""
    return services().users.get(username)


@blueprint.route("/users/<path:username>", methods=["PATCH"])
@blueprint.arguments(ForceSchema, location="query")
@blueprint.arguments(UserChangeSchema)
@blueprint.response(200, UserSchema)
@blueprint.errors(400, 404, 409, 413, 415, 422, 429, 503)
@permission(Permission.USERS_MANAGE, action="users:change", recorded=True)
def change_user(args: dict[str, Any], body: dict[str, Any], username: str) -> Any:
    """Change the password or the roles of a user, disable or enable them; it counts at once.

    Another password, and disabling, end whatever they signed in with before. Somebody whom only an
    identity provider knows can be disabled, too. Of users of the settings nothing else can be
    changed.
    """
    roles = frozenset(body["roles"]) if "roles" in body else None
    change = UserChange(body.get("password"), roles, body.get("disabled"))
    return services().users.change(username, change, force=args["force"], by=caller().username)


@blueprint.route("/users/<path:username>", methods=["DELETE"])
@blueprint.arguments(ForceSchema, location="query")
@blueprint.response(204)
@blueprint.errors(404, 409, 422, 503)
@permission(Permission.USERS_MANAGE, action="users:remove", recorded=True)
def remove_user(args: dict[str, Any], username: str) -> Response:
    """Remove a user; their executions and keys stay, and the name is not given again by itself."""
    services().users.remove(username, force=args["force"])
    return empty(204)


@blueprint.route("/users/me/password", methods=["PUT"])
@blueprint.arguments(OwnPasswordSchema)
@blueprint.response(204)
@blueprint.errors(400, 409, 413, 415, 422, 429, 503)
@permission(Permission.PASSWORD_WRITE, action="users:password", recorded=True)
def change_own_password(body: dict[str, Any]) -> Response:
    """Change your own password; what you signed in with before is worth nothing then."""
    services().users.change_own_password(
        caller(), body["old_password"], body["new_password"], request.remote_addr
    )
    return empty(204)

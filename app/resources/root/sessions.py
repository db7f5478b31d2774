"""``/auth/session`` of the root API, and signing in at an identity provider, for browsers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import marshmallow as ma
from flask import Response, request
from marshmallow import fields

from app.domain import Identity, Permission, Role
from app.errors import FieldError, InvalidRequest, SignInFailed
from app.identity import departures
from app.identity.sessions import COOKIE, csrf_token
from app.resources._api import Blueprint, Timestamp
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._browsers import lead_away
from app.resources._context import services
from app.resources._cookies import drop_cookie, read_cookie, set_cookie
from app.resources._limits import free
from app.resources._permissions import permission, public
from app.resources._session_pages import begin_session, here, require_own_page
from app.resources._text_forms import TextForm
from app.services.sessions import Begun

blueprint = Blueprint("sessions", __name__, description="Signing in and out with a browser")

_LOGIN: Final = "/auth/oidc/login"
_DEPARTED: Final = "slipway_sign_in"
"""Name of the cookie that a browser has while it signs in elsewhere."""
_AWAY_SECONDS: Final = 900
"""How long somebody may take to sign in elsewhere."""
_NO_STORE: Final = {"Cache-Control": "no-store"}
_NO_STORE_TOLD: Final = {"Cache-Control": {"schema": {"type": "string", "enum": ["no-store"]}}}


class SessionSchema(ma.Schema):
    """Who has signed in with this browser."""

    id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Names the session, as in `GET /sessions`, and opens nothing"},
    )
    username = fields.String(required=True, allow_none=True)
    roles = fields.List(fields.Enum(Role, by_value=True), required=True)
    csrf_token = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What each change must send as the header field `X-CSRF-Token`"},
    )
    expires_at = Timestamp(required=True, allow_none=True)
    sign_in_url = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Where the browser signs in, if it can be sent elsewhere for it"},
    )


class GoodbyeSchema(ma.Schema):
    """The end of a session."""

    sign_out_url = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Where the browser signs out as well, if it has signed in there"},
    )


class LoginArgsSchema(ArgumentsSchema):
    """Where to go afterwards."""

    next = fields.String(
        load_default="/docs",
        metadata={
            **TextForm(departures.TARGET_PATTERN, "/docs", departures.LONGEST_TARGET).schema(),
            "description": "A path of this service, which is shown afterwards",
        },
    )


@blueprint.route("/auth/session", methods=["GET"])
@blueprint.response(200, SessionSchema, headers=_NO_STORE_TOLD)
@blueprint.errors(503)
@free
@public
def get_session() -> Any:
    """Return who has signed in with this browser, if anybody has."""
    key = read_cookie(COOKIE)
    identity = services().sessions.find(key)
    id_ = None if identity is None else identity.credential.id
    return _shown(identity, id_, key), 200, _NO_STORE


@blueprint.route("/auth/session", methods=["POST"])
@blueprint.response(201, SessionSchema)
@blueprint.errors(400, 409, 503)
@permission(Permission.TOKENS_WRITE, action="sign-in", recorded=True)
def sign_in_here() -> Any:
    """Begin a session with the credential of this request, such as a user name and a password."""
    response = Response(status=201, headers=_NO_STORE)
    begun = begin_session(response, caller())
    response.data = SessionSchema().dumps(_of(begun))
    response.mimetype = "application/json"
    return response


@blueprint.route("/auth/session", methods=["DELETE"])
@blueprint.response(200, GoodbyeSchema)
@blueprint.errors(403, 503)
@public
def end_session() -> Any:
    """End the session of this browser."""
    identity = services().sessions.find(read_cookie(COOKIE))
    url = None
    if identity is not None:
        require_own_page(identity)
        url = services().sessions.end(identity, here())
    response = Response(GoodbyeSchema().dumps({"sign_out_url": url}), headers=_NO_STORE)
    response.mimetype = "application/json"
    drop_cookie(response, COOKIE)
    return response


@blueprint.route(_LOGIN, methods=["GET"])
@blueprint.arguments(LoginArgsSchema, location="query")
@blueprint.response(302)
@blueprint.errors(409, 422, 502, 503, 504)
@public
def sign_in(args: dict[str, Any]) -> Response:
    """Send the browser to the identity provider, where somebody signs in."""
    target = _below_root(args["next"])
    known = read_cookie(_DEPARTED) or ""
    secret = known if departures.is_secret(known) else departures.make_secret()
    response = lead_away(services().sessions.depart(secret, target, here()))
    set_cookie(response, _DEPARTED, secret, _AWAY_SECONDS)
    return response


@blueprint.route("/auth/oidc/callback", methods=["GET"])
@blueprint.response(302)
@blueprint.errors(400, 409, 502, 503, 504)
@public
def come_back() -> Response:
    """Begin the session of somebody who comes back from the identity provider."""
    answer = request.args.to_dict(flat=False)
    if any(len(values) > 1 for values in answer.values()):  # RFC 6749, 3.1
        raise SignInFailed("A parameter of the answer stands twice.")
    single = {name: values[0] for name, values in answer.items()}
    sessions = services().sessions
    arrival = sessions.arrive(read_cookie(_DEPARTED), single, here())
    before = sessions.find(read_cookie(COOKIE))
    response = Response(status=302, headers={"Location": arrival.target, **_NO_STORE})
    begin_session(response, arrival.identity)
    if before is not None:
        sessions.end(before, here())
    drop_cookie(response, _DEPARTED)
    return response


def _below_root(path: str) -> str:
    """Return a path of the service, without the prefix that a proxy takes off.

    Raises:
        InvalidRequest: It is none, but may lead somewhere else.
    """
    root = request.script_root
    if root and path.startswith(f"{root}/"):
        path = path[len(root) :]
    if not departures.is_target(path):
        fault = FieldError("next", "must be a path of this service, such as /docs")
        raise InvalidRequest("That is not where one can go on.", fields=(fault,))
    return path


def _of(begun: Begun) -> dict[str, Any]:
    return _shown(begun.identity, begun.id, begun.key, begun.expires_at)


def _shown(
    identity: Identity | None,
    id_: str | None,
    key: str | None,
    expires_at: datetime | None = None,
) -> dict[str, Any]:
    way = services().sessions.signs_in_elsewhere
    url = f"{request.script_root}{_LOGIN}" if way else None
    if identity is None:
        return {"id": None, "username": None, "roles": [], "csrf_token": None, "expires_at": None,
                "sign_in_url": url}  # fmt: skip
    return {
        "id": id_,
        "username": identity.username,
        "roles": sorted(identity.roles),
        "csrf_token": csrf_token(key or ""),
        "expires_at": expires_at or identity.credential.expires_at,
        "sign_in_url": url,
    }

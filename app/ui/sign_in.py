"""``/ui/sign-in`` and ``/ui/sign-out``: a session of a browser begins and ends."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from app.errors import ForeignOrigin, LimitExceeded, NotAuthenticated
from app.identity import departures
from app.identity.sessions import COOKIE
from app.resources._auth import FlaskRequest
from app.resources._browsers import is_of_own_page, lead_away
from app.resources._context import services
from app.resources._cookies import drop_cookie, read_cookie
from app.resources._errors import of_slipway_error
from app.resources._permissions import public
from app.resources._session_pages import CSRF_FORM_FIELD, begin_session, here, require_own_page
from app.ui._errors import SIGN_IN
from app.ui._forms import Notice, posted, see_other
from app.ui._render import page, to

blueprint = Blueprint("sign_in", __name__)

_FIRST = "/ui/"
_LONGEST = 1000


@blueprint.get("/sign-in")
@public
def show() -> Response:
    """Show the form; who has signed in already goes on to where they wanted."""
    wanted = _target(request.args.get("next", ""))
    if services().sessions.find(read_cookie(COOKIE)) is not None:
        return see_other(wanted)
    return _form(wanted)


@blueprint.post("/sign-in")
@public
def sign_in() -> Response:
    """Begin a session with a user name and a password.

    Nobody else's page may have somebody sign in, as another whom it knows.
    """
    if "HTTP_ORIGIN" in request.environ and not is_of_own_page():
        raise ForeignOrigin("Signing in is for pages of the service itself.")
    wanted, username, password = _target(posted("next")), posted("username"), posted("password")
    faults = {
        name: ["Must not be empty" if not value else "Is too long"]
        for name, value in (("username", username), ("password", password))
        if not 0 < len(value) <= _LONGEST
    }
    if faults:
        return _form(wanted, status=422, username=username[:_LONGEST], faults=faults)
    try:
        identity = services().authenticators.authenticate(_Typed(username, password))
    except (NotAuthenticated, LimitExceeded) as exc:
        failure = of_slipway_error(exc, request.path)
        made = _form(wanted, failure.status.value, username=username, refusal=_said(exc))
        if "Retry-After" in failure.headers:
            made.headers["Retry-After"] = str(failure.headers["Retry-After"])
        return made
    response = see_other(wanted)
    begin_session(response, identity)
    return response


@blueprint.post("/sign-out")
@public
def sign_out() -> Response:
    """End the session of this browser, and that of the identity provider where it began there."""
    identity = services().sessions.find(read_cookie(COOKIE))
    url = None
    if identity is not None:
        require_own_page(identity, posted(CSRF_FORM_FIELD))
        url = services().sessions.end(identity, here())
    response = lead_away(url) if url else see_other(SIGN_IN, Notice("You have signed out."))
    drop_cookie(response, COOKIE)
    return response


class _Typed(FlaskRequest):
    """The current request, as if it carried what somebody has typed (RFC 7617)."""

    __slots__ = ("_field",)

    def __init__(self, username: str, password: str) -> None:
        pair = f"{username}:{password}".encode("utf-8", "replace")
        self._field = f"Basic {b64encode(pair).decode()}"

    def header(self, name: str) -> str | None:
        """Return the value of a header field."""
        return self._field if name.lower() == "authorization" else None

    def cookie(self, name: str) -> str | None:
        """Return nothing: the session before is not what signs in."""
        return None

    @property
    def query_keys(self) -> tuple[str, ...]:
        """Nothing: what was typed is all that counts."""
        return ()


def _form(
    wanted: str,
    status: int = 200,
    *,
    username: str = "",
    faults: Mapping[str, list[str]] | None = None,
    refusal: str = "",
) -> Response:
    sessions = services().sessions
    elsewhere = to("/auth/oidc/login") + "?" + urlencode({"next": wanted})
    context: dict[str, Any] = {
        "wanted": wanted,
        "username": username,
        "faults": faults or {},
        "refusal": refusal,
        "elsewhere": elsewhere if sessions.signs_in_elsewhere else "",
        "takes_passwords": services().authenticators.takes_passwords,
    }
    return page("sign_in.html", title="Sign in", status=status, **context)


def _target(asked: str) -> str:
    """Return the page of the service that is wanted afterwards; the first one where none is."""
    return asked if departures.is_target(asked) and asked.startswith("/ui/") else _FIRST


def _said(error: NotAuthenticated | LimitExceeded) -> str:
    if isinstance(error, LimitExceeded):
        return error.message
    return "This user name and this password do not belong together."

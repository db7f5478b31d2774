"""``/ui/sign-in`` and ``/ui/sign-out``: a session of a browser begins and ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from app.errors import Conflict, LimitExceeded, NotAuthenticated
from app.identity.sessions import COOKIE
from app.resources._context import services
from app.resources._cookies import drop_cookie, read_cookie
from app.resources._permissions import public
from app.resources._session_pages import (
    CSRF_FORM_FIELD,
    FROM_PAGE,
    here,
    require_own_form,
    require_own_page,
)
from app.ui._errors import SIGN_IN
from app.ui._forms import (
    Notice,
    keep_notice,
    posted,
    see_other,
    told_when_again,
    why_refused,
)
from app.ui._render import page, to
from app.ui._signing import Typed, sign_in_as, target
from app.ui._words import duration

blueprint = Blueprint("sign_in", __name__)

_LONGEST = 1000
_SIGNED_OUT = "/ui/signed-out"
_GOODBYE = Notice("You have signed out.")


@blueprint.get("/sign-in")
@public
def show() -> Response:
    """Show the form; who has signed in already, or need not, goes on to where they wanted."""
    wanted = target(request.args.get("next", ""))
    if services().authenticators.asks_nothing:
        return see_other(wanted)
    if services().sessions.find(read_cookie(COOKIE)) is not None:
        return see_other(wanted)
    return _form(wanted)


@blueprint.post("/sign-in")
@public
def sign_in() -> Response:
    """Begin a session with a user name and a password, or with an API key.

    Nobody else's page may have somebody sign in, as another whom it knows.
    """
    require_own_form()
    wanted, names = target(posted("next")), _fields()
    values = {name: posted(name) for name in names}
    faults = {
        name: ["Must not be empty" if not value else "Is too long"]
        for name, value in values.items()
        if not 0 < len(value) <= _LONGEST
    }
    username = values.get("username", "")[:_LONGEST]
    if faults:
        return _form(wanted, status=422, username=username, faults=faults)
    by_key = "key" in values
    typed = Typed.api_key(values["key"].strip()) if by_key else Typed.password(**values)
    response = see_other(wanted)
    try:
        sign_in_as(typed, response)
    except (NotAuthenticated, LimitExceeded, Conflict) as exc:
        return _refused(exc, wanted, username, by_key=by_key)
    return response


@blueprint.post("/sign-out")
@public
def sign_out() -> Response:
    """End the session of this browser."""
    require_own_form()
    identity = services().sessions.find(read_cookie(COOKIE))
    url = None
    if identity is not None:
        require_own_page(identity, posted(CSRF_FORM_FIELD))
        url = services().sessions.end(identity, here())
    response = see_other(_SIGNED_OUT) if url else see_other(SIGN_IN, _GOODBYE)
    drop_cookie(response, COOKIE)
    return response


@blueprint.get("/signed-out")
@public
def signed_out() -> Response:
    """Lead to where somebody signs out as well who has signed in elsewhere.

    A form cannot lead there: its policy (``form-action``) holds for what it is redirected to, too.
    """
    url = services().sessions.goodbye(here(), FROM_PAGE)
    if url is None:
        return see_other(SIGN_IN, _GOODBYE)
    response = page("signed_out.html", title="Signed out", url=url)
    keep_notice(response, _GOODBYE)
    return response


def _fields() -> tuple[str, ...]:
    """Return the fields of the form that was sent: there is one for each way to sign in."""
    return ("key",) if "key" in request.form else ("username", "password")


def _refused(
    error: NotAuthenticated | LimitExceeded | Conflict, wanted: str, username: str, *, by_key: bool
) -> Response:
    failure = why_refused(error)
    wait = failure.headers.get("Retry-After")
    made = _form(
        wanted, failure.status.value, username=username, by_key=by_key,
        refusal=_said(error, by_key=by_key, wait=None if wait is None else str(wait)),
    )  # fmt: skip
    return told_when_again(made, failure)


def _form(
    wanted: str,
    status: int = 200,
    *,
    username: str = "",
    faults: Mapping[str, list[str]] | None = None,
    refusal: str = "",
    by_key: bool = False,
) -> Response:
    sessions, ways = services().sessions, services().authenticators
    elsewhere = to("/auth/oidc/login") + "?" + urlencode({"next": wanted})
    context: dict[str, Any] = {
        "wanted": wanted,
        "username": username,
        "faults": faults or {},
        "refusal": refusal,
        "by_key": by_key or "key" in (faults or {}),
        "elsewhere": elsewhere if sessions.signs_in_elsewhere else "",
        "takes_passwords": ways.takes_passwords,
        "takes_keys": ways.takes_api_keys,
    }
    return page("sign_in.html", title="Sign in", status=status, **context)


def _said(
    error: NotAuthenticated | LimitExceeded | Conflict, *, by_key: bool, wait: str | None
) -> str:
    if isinstance(error, Conflict):
        return "This key is shared by all who know it, and signs nobody in. Use a key of your own."
    if isinstance(error, NotAuthenticated):
        if by_key:
            return "This API key is not known here, was revoked, or has ended."
        return "This user name and this password do not belong together."
    if wait is None:
        return error.message
    said = error.message.partition(";")[0].rstrip(".")
    return f"{said}. Try again in {duration(float(wait)).replace('.0 s', ' s')}."

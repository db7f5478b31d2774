"""Pages made of templates: the frame around each, and what all templates may use."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from flask import Response, g, has_request_context, request
from jinja2 import Environment, PackageLoader, StrictUndefined

from app.domain import Identity, Permission
from app.identity.permissions import is_allowed
from app.identity.sessions import COOKIE, SESSION, csrf_token
from app.resources._api import iso
from app.resources._cookies import read_cookie
from app.ui import _words
from app.ui._assets import asset
from app.ui._forms import forget_notice, notice_was_shown, take_notice
from app.ui._navigation import navigation
from app.ui._signing import this_page

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; worker-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""Nothing stands inline, so it needs neither nonces nor digests (CSP level 3)."""
KEPT_NOWHERE: Final = "no-store"
"""Who has signed out, or somebody else at the same machine, must not see it again by 'Back'."""
_HEADERS: Final = {"Content-Security-Policy": POLICY, "Cache-Control": KEPT_NOWHERE}


def page(
    template: str, *, title: str, status: int = 200, current: str = "", **context: Any
) -> Response:
    """Answer with a page.

    It is not compressed: it holds the token of the session beside what anybody may have put into
    the address (BREACH, CVE-2013-3587).

    Args:
        template: Its template, which extends ``frame.html``.
        title: What it shows, for the title of the window.
        status: Status of the answer.
        current: Address of the entry in the navigation that it belongs to, without the prefix.
        context: What the template shows.
    """
    body = render(template, title=title, current=current, **context)
    response = Response(body, status, content_type="text/html; charset=utf-8", headers=_HEADERS)
    if not has_request_context():  # the server refuses it without asking the application
        return response
    if request.is_secure:  # elsewhere browsers only complain of it
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if notice_was_shown():
        forget_notice(response)
    return response


def fragment(template: str, **context: Any) -> Response:
    """Answer with a part of a page, which a script puts into it."""
    body = render(template, **context)
    return Response(body, content_type="text/html; charset=utf-8", headers=_HEADERS)


def render(template: str, **context: Any) -> str:
    """Write a template.

    Raises:
        jinja2.UndefinedError: It shows what it was not given.
    """
    return _environment().get_template(template).render(_around(), **context)


def to(path: str) -> str:
    """Return an address of the service, below the prefix that a proxy takes off."""
    root = request.script_root if has_request_context() else ""
    return f"{root}{path}"


def current_identity() -> Identity | None:
    """Return who asks, as far as that is known where an error is told."""
    identity: Identity | None = g.get("identity") if has_request_context() else None
    return identity


def may(permission: str) -> bool:
    """Return whether who asks has a permission, such as ``nodes:write``."""
    identity = current_identity()
    return identity is not None and is_allowed(identity, Permission(permission))


def _around() -> dict[str, Any]:
    """Return what each page has around it."""
    identity = current_identity()
    return {
        "identity": identity,
        "in_session": identity is not None and identity.credential.authenticator == SESSION,
        "csrf_token": _csrf_token(identity),
        "navigation": navigation(identity),
        "notice": take_notice() if has_request_context() else None,
        "here": this_page() if has_request_context() else "",
        "now": iso(datetime.now(UTC)),
    }


def _csrf_token(identity: Identity | None) -> str:
    if identity is None or identity.credential.authenticator != SESSION:
        return ""
    return csrf_token(read_cookie(COOKIE) or "")


@lru_cache(1)
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("app.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(
        asset=lambda name: to(asset(name)), to=to, may=may, statuses=_words.STATUSES
    )
    made.filters.update(_words.FILTERS)
    return made

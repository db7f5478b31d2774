"""In a session, and by a form, only pages of the service itself may change something.

A browser sends the cookie of a session by itself, also for pages of others on the same site, which
``SameSite`` lets through. So a change needs what only the service's own pages can know, and a
WebSocket, which cannot carry that, must be opened by one of them.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from typing import Final

from flask import Response, request

from app.domain import Identity
from app.errors import CsrfTokenMissing, ForeignOrigin
from app.identity.sessions import COOKIE, SESSION, csrf_token
from app.resources._browsers import SAFE_METHODS, is_of_own_page
from app.resources._context import services
from app.resources._cookies import read_cookie, set_cookie
from app.services.sessions import Begun

CSRF_FIELD: Final = "X-CSRF-Token"
"""Header field for what ``GET /auth/session`` tells as ``csrf_token``."""

CSRF_FORM_FIELD: Final = "csrf_token"
"""Field of a form for the same."""

FROM_PAGE: Final = "page"
"""What a browser brings back that has signed out on the page, and at the identity provider."""


def begin_session(response: Response, identity: Identity) -> Begun:
    """Begin the session of somebody, and let the browser keep it.

    Args:
        response: The answer that tells the browser.
        identity: Who they are, with the credential that they have shown.

    Raises:
        Conflict: They have shown a session already, or none is needed.
    """
    agent = request.headers.get("User-Agent")
    begun = services().sessions.begin(identity, request.remote_addr, agent)
    left = (begun.expires_at - datetime.now(UTC)).total_seconds()
    set_cookie(response, COOKIE, begun.key, max(1, int(left)))
    return begun


def here() -> str:
    """Return where the browser believes the service to be."""
    return f"{request.scheme}://{request.host}{request.script_root}"


def require_own_form() -> None:
    """Make sure that no page of somebody else sends the form of the current request.

    Other origins may be let to use the API (``api.cors.origins``); forms are none of it, also where
    nobody signs in.

    Raises:
        ForeignOrigin: One does.
    """
    if "HTTP_ORIGIN" in request.environ and not is_of_own_page():
        raise ForeignOrigin("Forms are for pages of the service itself.")


def require_own_page(identity: Identity, posted: str = "") -> None:
    """Make sure of where the current request comes from, if it is sent in a session.

    Args:
        identity: Who sends it.
        posted: What a form holds in place of the header field.

    Raises:
        ForeignOrigin: It comes from a page of somebody else.
        CsrfTokenMissing: It would change something, and does not show the right token.
    """
    if identity.credential.authenticator != SESSION:
        return
    is_upgrade = "HTTP_UPGRADE" in request.environ
    if request.method in SAFE_METHODS and not is_upgrade:
        return
    if (is_upgrade or "HTTP_ORIGIN" in request.environ) and not is_of_own_page():
        raise ForeignOrigin("In a session this is for pages of the service itself.")
    if request.method not in SAFE_METHODS:
        given = request.headers.get(CSRF_FIELD, "") or posted
        right = csrf_token(read_cookie(COOKIE) or "")
        if not hmac.compare_digest(given.encode(errors="replace"), right.encode()):
            text = f"In a session a change needs the header field {CSRF_FIELD}."
            raise CsrfTokenMissing(f"{text} GET /auth/session tells what it must hold.")

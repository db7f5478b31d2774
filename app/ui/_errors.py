"""What goes wrong, as a page."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar
from urllib.parse import urlencode

from flask import Response, has_request_context, request
from werkzeug.exceptions import NotFound

from app.errors import CsrfTokenMissing
from app.resources._auth import recognise
from app.resources._browsers import is_from_script
from app.resources._dialect import ErrorRenderer
from app.resources._errors import Failure
from app.resources._problem import sentence
from app.ui._forms import Notice, is_partial, see_other
from app.ui._render import current_identity, page
from app.ui._signing import page_before, this_page

SIGN_IN = "/ui/sign-in"
_SAFE = ("GET", "HEAD")
_WITHOUT_VIEW = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
"""What no view was asked for, so that nobody has found out yet who asks."""
_NOT_DONE = Notice(
    "That was not done: you are not signed in any more. Sign in and repeat it.", "bad"
)
_OTHER_SESSION = (
    "Since this page was opened, somebody has signed in anew with this browser, you or somebody "
    "else. Nothing was done. Open the page again, and repeat what you wanted."
)


class PageErrors(ErrorRenderer):
    """Renders errors as pages; who must sign in first is led there, and back afterwards."""

    content_type: ClassVar[str] = "text/html"

    def render(self, failure: Failure) -> Response:
        """Return the answer to a request that fails."""
        if failure.status is HTTPStatus.UNAUTHORIZED and has_request_context():
            return _to_sign_in()
        is_unknown = has_request_context() and current_identity() is None
        if is_unknown and failure.status in _WITHOUT_VIEW:
            recognise()
        return page(
            "error.html",
            title=failure.status.phrase.capitalize(),
            status=failure.status.value,
            failure=failure,
            detail=_detail(failure),
            sentences=[sentence(fault) for fault in failure.fields],
        )


def _detail(failure: Failure) -> str:
    """Return what a page says of it; pages have no header fields, of which APIs speak."""
    if isinstance(failure.cause, NotFound):
        return "There is no such page."
    return _OTHER_SESSION if isinstance(failure.cause, CsrfTokenMissing) else failure.detail


def sign_in_for(path: str) -> str:
    """Return the address at which one signs in and then comes to a page."""
    return f"{SIGN_IN}?{urlencode({'next': path})}"


def _to_sign_in() -> Response:
    """Lead to where one signs in; what a form has sent was not done, which that page says.

    A script of the page offers that in place, so that nothing is lost which somebody has typed.
    """
    if is_partial() or is_from_script():
        return Response(status=401, headers={"Cache-Control": "no-store"})
    if request.method in _SAFE:
        return see_other(sign_in_for(this_page()))
    return see_other(sign_in_for(page_before()), _NOT_DONE)

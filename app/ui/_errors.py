"""What goes wrong, as a page."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar
from urllib.parse import urlencode

from flask import Response, has_request_context, request
from werkzeug.exceptions import NotFound

from app.resources._dialect import ErrorRenderer
from app.resources._errors import Failure
from app.resources._problem import sentence
from app.ui._forms import is_partial, see_other
from app.ui._render import page, to

SIGN_IN = "/ui/sign-in"
_SAFE = ("GET", "HEAD")


class PageErrors(ErrorRenderer):
    """Renders errors as pages; who must sign in first is led there, and back afterwards."""

    content_type: ClassVar[str] = "text/html"

    def render(self, failure: Failure) -> Response:
        """Return the answer to a request that fails."""
        if failure.status is HTTPStatus.UNAUTHORIZED and has_request_context():
            return _to_sign_in()
        nowhere = isinstance(failure.cause, NotFound)
        return page(
            "error.html",
            title=failure.status.phrase,
            status=failure.status.value,
            failure=failure,
            detail="There is no such page." if nowhere else failure.detail,
            sentences=[sentence(fault) for fault in failure.fields],
        )


def sign_in_for(path: str) -> str:
    """Return the address at which one signs in and then comes to a page."""
    return f"{SIGN_IN}?{urlencode({'next': path})}"


def _to_sign_in() -> Response:
    """Lead to where one signs in; what a form has sent is lost, which that page says."""
    wanted = request.full_path.rstrip("?") if request.method in _SAFE else "/ui/"
    if is_partial():
        return Response(status=401, headers={"HX-Redirect": to(sign_in_for("/ui/"))})
    return see_other(sign_in_for(wanted))

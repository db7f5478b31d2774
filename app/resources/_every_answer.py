"""What all answers have in common, whoever gives them: header fields that browsers act on.

Some say what a browser must not do with an answer, others which pages of other origins may read it
(the CORS protocol: Fetch standard, 3.2). A page that could not read a refusal would take it for a
server that is down, so errors hold them, too, and so does what the server answers by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flask import Response, request

from app.settings import ApiSettings

_PROTECTION = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # Not 'no-referrer': the service's own forms would be sent with 'Origin: null'.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)
_POLICY_FIELD = "Content-Security-Policy"
POLICY = "default-src 'none'; frame-ancestors 'none'"
"""For what is no page; a page has one of its own."""
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_EXPOSED = (
    "Location, Retry-After, RateLimit, RateLimit-Policy, X-Pagination, X-Request-ID, ETag, "
    "Preference-Applied, X-Slipway-Stale"
)
_PREFLIGHT = MappingProxyType(
    {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": (
            "Authorization, Content-Type, X-API-Key, Last-Event-ID, Idempotency-Key, If-Match, "
            "If-None-Match, Prefer"
        ),
        "Access-Control-Max-Age": "600",
        "Vary": "Access-Control-Request-Method, Access-Control-Request-Headers",
    }
)


class EveryAnswer:
    """Completes answers.

    Args:
        settings: Of the API; its defaults without.

    Attributes:
        fields: What any answer holds, whatever it answers.
    """

    def __init__(self, settings: ApiSettings | None = None) -> None:
        self._origins = frozenset(settings.cors.origins if settings else ())
        self.fields: Mapping[str, str] = _PROTECTION
        self._fields = [*self.fields.items()]

    def of_all(self) -> Response | None:
        """Answer ``OPTIONS *``, which is about no address of the server (RFC 9110, 9.3.7)."""
        if request.environ["PATH_INFO"] != "*":
            return None
        response = Response(status=204, headers={"Allow": _METHODS})
        del response.headers["Content-Type"]
        return response

    def preflight(self) -> Response | None:
        """Answer a preflight of an origin that may use the API; it comes without credentials.

        It does so for any address: the answer to what follows says whether there is something.
        """
        if (
            request.method != "OPTIONS"
            or "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in request.environ
            or request.environ.get("HTTP_ORIGIN") not in self._origins
        ):
            return None
        response = Response(status=204, headers=_PREFLIGHT)
        del response.headers["Content-Type"]
        return response

    def complete(self, response: Response) -> Response:
        """Complete the answer to the current request."""
        return self.add(response, request.environ.get("HTTP_ORIGIN"))

    def add(self, response: Response, origin: str | None) -> Response:
        """Complete an answer.

        Args:
            response: The answer.
            origin: Of the page for which a browser asks, as ``Origin`` says it.
        """
        headers = response.headers
        headers.extend(self._fields)
        if _POLICY_FIELD not in headers:
            headers.add(_POLICY_FIELD, POLICY)
        if self._origins:
            response.vary.add("Origin")
            if origin in self._origins:
                # Without Access-Control-Allow-Credentials: cookies are for the own pages alone.
                headers.add("Access-Control-Allow-Origin", origin)
                headers.add("Access-Control-Expose-Headers", _EXPOSED)
        return response

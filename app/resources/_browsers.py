"""What a browser sends for a page of somebody else is refused.

A browser sends the credentials that it knows, and reaches the addresses of its own machine, for any
page that asks for it. It tells whose page that is in ``Origin`` (RFC 6454, 7) or ``Sec-Fetch-Site``
(Fetch Metadata), and where it believes to be in ``Host``. A name that somebody else's DNS has led
here (DNS rebinding) makes their page the same origin as the service, so the name is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit

from flask import Response, g, has_request_context, request

from app.errors import ForeignOrigin, UnknownHost
from app.settings import ApiSettings, is_loopback, takes_any_host

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = frozenset({"same-origin", "none"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NO_AUTHORITY = frozenset("/\\?#@")
_KEPT_HOSTS = 1024
_ANY = "*"
_PAGE = "slipway-page"

Place = tuple[str, int]
"""Host and port."""


def browser_guard(settings: ApiSettings) -> Callable[[], None]:
    """Make the check that runs before each request, to whatever address.

    It raises UnknownHost for a request to a host that this service is not, and ForeignOrigin for
    one that changes something, or opens a WebSocket, for a page from somewhere else. Programs other
    than browsers send no ``Origin``, and are let through.
    """
    is_allowed = _host_check(settings)
    listed = [*settings.allowed_origins, *settings.cors.origins]
    origins = frozenset(map(_origin, listed)) - {None}

    def check() -> None:
        # Of what proxies add, such as X-Forwarded-Host, nothing counts: anybody can send it.
        host = request.environ.get("HTTP_HOST")
        if host is not None and not is_allowed(host):
            raise UnknownHost(f"This service does not answer for the host {host[:100]!r}.")
        if request.method in SAFE_METHODS and "HTTP_UPGRADE" not in request.environ:
            return
        origin = request.environ.get("HTTP_ORIGIN")
        if origin is None:
            site = request.environ.get("HTTP_SEC_FETCH_SITE", "none")
            if site not in _OWN_SITES:
                raise ForeignOrigin(f"A page of another site ({site[:20]}) may not do this.")
        elif not _is_own(origin, host) and _origin(origin) not in origins:
            raise ForeignOrigin(f"A page from {origin[:100]} may not do this.")

    return check


def lead_away(url: str) -> Response:
    """Return an answer that sends the browser to another host, which nothing asked for chose."""
    g.leads_away = True
    return Response(status=302, headers={"Location": url, "Cache-Control": "no-store"})


def leads_away() -> bool:
    """Return whether the answer to the current request may lead to another host."""
    return bool(g.get("leads_away", False))


def is_of_own_page() -> bool:
    """Return whether the current request says that a page of the service itself sends it."""
    origin = request.environ.get("HTTP_ORIGIN")
    return origin is not None and _is_own(origin, request.environ.get("HTTP_HOST"))


def is_from_script() -> bool:
    """Return whether a script of the service's own pages says that it sends the current request.

    Whoever says so without being one gets less than others do, and nothing more.
    """
    return has_request_context() and request.environ.get("HTTP_X_REQUESTED_WITH") == _PAGE


def keep_here(response: Response) -> None:
    """Keep redirects on this host, whatever the address that was asked for."""
    location = response.headers.get("Location")
    if location is not None:
        parts = urlsplit(location.replace("\\", "/"))
        path = "/" + parts.path.lstrip("/")
        response.headers["Location"] = urlunsplit(("", "", path, parts.query, ""))


def _host_check(settings: ApiSettings) -> Callable[[str], bool]:
    allowed = [name.lower() for name in settings.allowed_hosts]
    if takes_any_host(settings) or _ANY in allowed:
        return lambda _: True
    names = frozenset(allowed)
    domains = tuple(name[1:] for name in allowed if name.startswith("*."))

    @lru_cache(_KEPT_HOSTS)
    def is_allowed(host: str) -> bool:
        place = _place(f"//{host}", 0)
        if place is None:
            return False
        name = place[0]
        # No page of somebody else has such an address.
        return is_loopback(name) or name in names or name.endswith(domains)

    return is_allowed


def _is_own(origin: str, host: str | None) -> bool:
    """Return whether a page comes from the service itself; a proxy may have added TLS."""
    known = _origin(origin)
    if known is None or host is None:
        return False
    scheme, *place = known
    return _place(f"//{host}", _DEFAULT_PORTS.get(scheme, 0)) == tuple(place)


def _origin(origin: str) -> tuple[str, str, int] | None:
    """Take an origin apart; None if it is opaque, or none."""
    scheme, separator, _ = origin.partition("://")
    scheme = scheme.lower()
    place = _place(origin, _DEFAULT_PORTS.get(scheme, 0)) if separator else None
    return None if place is None else (scheme, *place)


def _place(url: str, default_port: int) -> Place | None:
    authority = url.partition("//")[2]
    if _NO_AUTHORITY.intersection(authority):
        return None
    try:
        parts = urlsplit(url)
        port = default_port if parts.port is None else parts.port
    except ValueError:
        return None
    return (parts.hostname.rstrip("."), port) if parts.hostname else None

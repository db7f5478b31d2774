"""What proxies in front of the service tell of a request, where they are trusted to.

Sources: RFC 7239 (``Forwarded``); the ``X-Forwarded-*`` fields have no standard, and stand here as
nginx, Apache and Traefik write them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from flask import Response, request

Network = IPv4Network | IPv6Network

_MOST_HOPS = 32
"""More proxies stand in no line."""
_NOBODY = "unknown"
"""The address of all whose proxy names none that can be read: one bucket."""
_KEPT = 4096
_MAPPED_BITS = 96
"""Of ``::ffff:0:0/96`` (RFC 4291, 2.5.5.2)."""
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w-]+)\]|(?P<four>[0-9.]+))(?::[0-9]{1,5})?")
_PAIR = re.compile(r'\s*([A-Za-z-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*')
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){1,16}")
_LINKED = re.compile("</(?!/)")
"""Where the address of a link begins, if it is one of here (RFC 8288, 3)."""
_SCHEMES = ("http", "https")


@dataclass(frozen=True, slots=True)
class _Hop:
    """What one proxy says of who called it."""

    address: str
    scheme: str = ""
    host: str = ""


def networks_of(texts: Iterable[str]) -> list[Network]:
    """Read networks, such as ``10.0.0.0/8`` or ``::1``.

    Raises:
        ValueError: One is none.
    """
    return [_unmapped(ip_network(text)) for text in texts]


def _unmapped(network: Network) -> Network:
    first = network.network_address
    if isinstance(first, IPv6Address) and first.ipv4_mapped and network.prefixlen >= _MAPPED_BITS:
        return IPv4Network((int(first.ipv4_mapped), network.prefixlen - _MAPPED_BITS))
    return network


class TrustedProxies:
    """A WSGI application behind proxies (PEP 3333).

    The client is the last address in the line that is no trusted proxy. Where both kinds of fields
    name clients, and different ones, a proxy has let through what a client made up: then neither
    counts.

    Args:
        application: The application.
        networks: Where the proxies are.
    """

    def __init__(self, application: Callable[..., Any], networks: Sequence[str]) -> None:
        self._application = application
        self._networks = networks_of(networks)
        self._is_trusted = lru_cache(_KEPT)(self._look_up)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request."""
        if self._is_trusted(_plain(environ.get("REMOTE_ADDR", ""))):
            self._take(environ)
        return self._application(environ, start_response)

    def _take(self, environ: dict[str, Any]) -> None:
        hop = self._client(environ)
        if hop is not None:
            environ["REMOTE_ADDR"] = hop.address
            if hop.scheme in _SCHEMES:
                environ["wsgi.url_scheme"] = hop.scheme
            if _HOST.fullmatch(hop.host):
                environ["HTTP_HOST"] = hop.host
        prefix = _last(environ, "HTTP_X_FORWARDED_PREFIX").rstrip("/")
        if _PREFIX.fullmatch(prefix):
            environ["SCRIPT_NAME"] = prefix
            path = environ.get("PATH_INFO", "")
            if path.startswith(f"{prefix}/"):  # it was not taken off
                environ["PATH_INFO"] = path[len(prefix) :]

    def _client(self, environ: dict[str, Any]) -> _Hop | None:
        """Return what is told of the client; None where nothing is, or it cannot be believed."""
        standard = self._outermost(_forwarded(environ.get("HTTP_FORWARDED", "")))
        usual = self._outermost(map(_Hop, _entries(environ.get("HTTP_X_FORWARDED_FOR", ""))))
        if standard is not None and usual is not None and standard.address != usual.address:
            return None
        if standard is not None:
            return standard
        scheme = _last(environ, "HTTP_X_FORWARDED_PROTO").lower()
        host = _last(environ, "HTTP_X_FORWARDED_HOST")
        if usual is None:
            # A proxy that tells no address; the one of the connection is all that is known.
            return _Hop(environ["REMOTE_ADDR"], scheme, host)
        return _Hop(usual.address, scheme, host)

    def _outermost(self, hops: Iterable[_Hop]) -> _Hop | None:
        """Return the last hop that is no trusted proxy, or the first; they come backwards."""
        found = None
        for hop in hops:
            address = _readable(hop.address)
            found = _Hop(address or _NOBODY, hop.scheme, hop.host)
            if not self._is_trusted(address):
                break
        return found

    def _look_up(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)


def place_below(response: Response) -> Response:
    """Put what an answer says of where things are below the prefix that a proxy takes off."""
    return put_below(response, request.script_root)


def put_below(response: Response, root: str) -> Response:
    """Put what an answer says of where things are below a prefix, which may be empty."""
    if not root:
        return response
    headers = response.headers
    location = headers.get("Location")
    if location is not None and location.startswith("/"):
        headers["Location"] = root + location
    if "Link" in headers:
        headers.setlist(
            "Link", [_LINKED.sub(f"<{root}/", each) for each in headers.getlist("Link")]
        )
    return response


def _entries(field: str) -> list[str]:
    """Return the elements of a list (RFC 9110, 5.6.1) from its end on, as many as count."""
    parts = field.rsplit(",", _MOST_HOPS)
    entries = [part.strip() for part in reversed(parts)]
    return [entry for entry in entries if entry][:_MOST_HOPS]


def _forwarded(field: str) -> Iterable[_Hop]:
    for element in _entries(field):
        pairs = {name.lower(): value.strip('"') for name, value in _PAIR.findall(element)}
        if "for" in pairs:
            yield _Hop(pairs["for"], pairs.get("proto", "").lower(), pairs.get("host", ""))


def _last(environ: dict[str, Any], name: str) -> str:
    return str(environ.get(name, "")).rpartition(",")[2].strip()


def _readable(entry: str) -> str:
    """Return the address in an entry, without port and zone; empty where there is none."""
    found = _ADDRESS.fullmatch(entry)
    return _plain((found["six"] or found["four"]) if found else entry)


def _plain(text: str) -> str:
    """Write an address in its usual form: no zone, and IPv4 for what is mapped from it."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(parsed)

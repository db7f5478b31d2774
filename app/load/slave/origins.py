"""Where requests go, and how they are written: what many requests have in common, kept."""

from __future__ import annotations

import base64
import re
from collections import deque
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes, urlsplit

from app.load.definition import Pairs, Tls
from app.load.exchange import Request, TransportFailed

if TYPE_CHECKING:
    from app.load.slave.http_connection import Connection

MOST_KEPT: Final = 4096
"""Places, and heads of one place, that are kept; beyond, all are made anew."""

_OWN: Final = frozenset({"content-length", "connection", "transfer-encoding", "keep-alive"})
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_PORTS: Final = {"http": 80, "https": 443}
_TARGET: Final = re.compile(r"[!-~]*")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"[^\x00\r\n]*")


class Origin:
    """A server, as requests of one kind see it, and the connections to it that are free.

    Attributes:
        idle: Open connections, the one that was used last at the end.
    """

    __slots__ = ("host", "idle", "port", "secure", "tls")

    def __init__(self, host: str, port: int, tls: Tls, *, secure: bool) -> None:
        self.host, self.port, self.tls, self.secure = host, port, tls, secure
        self.idle: deque[Connection] = deque()


class Place:
    """A URL, taken apart."""

    __slots__ = ("_authorization", "_heads", "_host", "_path", "origin")

    def __init__(self, origin: Origin, host: str, path: str, authorization: str) -> None:
        self.origin = origin
        self._host, self._path, self._authorization = host, path, authorization
        self._heads: dict[tuple[str, Pairs], bytes] = {}

    def written(self, request: Request) -> bytes:
        """Write a request to this place (RFC 9112).

        Raises:
            TransportFailed: A name or a value cannot stand in a head.
        """
        key = request.method, request.headers
        head = self._heads.get(key)
        if head is None:
            head = self._head(*key)
            if len(self._heads) >= MOST_KEPT:
                self._heads.clear()
            self._heads[key] = head
        body = request.body
        if body or request.method in _WITH_BODY:
            return b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)
        return head + b"\r\n"

    def _head(self, method: str, headers: Pairs) -> bytes:
        lines = [(name, value) for name, value in headers if name.lower() not in _OWN]
        given = {name.lower() for name, _ in lines}
        defaults = [("Host", self._host), ("User-Agent", "slipway"), ("Accept", "*/*")]
        if self._authorization:
            defaults.append(("Authorization", self._authorization))
        lines = [*(line for line in defaults if line[0].lower() not in given), *lines]
        good = all(_TOKEN.fullmatch(name) and _VALUE.fullmatch(value) for name, value in lines)
        if not good or not _TOKEN.fullmatch(method):
            raise TransportFailed(
                "VALIDATION_ERROR", "the method or a header cannot be written in a request", 0
            )
        text = "".join(f"{name}: {value}\r\n" for name, value in lines)
        try:
            return f"{method} {self._path} HTTP/1.1\r\n{text}".encode("latin-1")
        except UnicodeEncodeError:
            raise TransportFailed(
                "VALIDATION_ERROR", "a header has characters beyond Latin-1", 0
            ) from None


class Places:
    """The places and origins of one task."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._origins: dict[tuple[bool, str, int, Tls], Origin] = {}

    def origins(self) -> list[Origin]:
        """Return all there are."""
        return list(self._origins.values())

    def of(self, request: Request) -> Place:
        """Return where a request goes.

        Raises:
            TransportFailed: Its URL leads nowhere.
        """
        place = self._places.get(request.url)
        if place is not None and (
            place.origin.tls is request.tls or place.origin.tls == request.tls
        ):
            return place
        place = self._made(request.url, request.tls)
        if len(self._places) >= MOST_KEPT:
            self._places.clear()
        self._places[request.url] = place
        return place

    def _made(self, url: str, tls: Tls) -> Place:
        try:
            parts = urlsplit(url)
            usual = _PORTS[parts.scheme]
            host, port = parts.hostname or "", usual if parts.port is None else parts.port
        except (ValueError, KeyError):
            host, port, usual = "", 0, 0
        if not host or not port or not _TARGET.fullmatch(url):
            raise TransportFailed(
                "VALIDATION_ERROR", "the URL must be absolute, of http or https", 0
            )
        secure = parts.scheme == "https"
        key = secure, host, port, tls
        if key not in self._origins and len(self._origins) >= MOST_KEPT:
            self._origins = {known: each for known, each in self._origins.items() if each.idle}
        origin = self._origins.setdefault(key, Origin(host, port, tls, secure=secure))
        shown = f"[{host}]" if ":" in host else host
        if port != usual:
            shown = f"{shown}:{port}"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Place(origin, shown, path, _basic(parts.netloc))


def _basic(netloc: str) -> str:
    """Return the credentials of a URL as a header (RFC 7617)."""
    userinfo, at, _ = netloc.rpartition("@")
    if not at:
        return ""
    name, _, password = userinfo.partition(":")
    pair = unquote_to_bytes(name) + b":" + unquote_to_bytes(password)
    return f"Basic {base64.b64encode(pair).decode()}"

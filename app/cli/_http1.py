"""Requests of HTTP/1.1 (RFC 9112), taken from the bytes of a connection; no I/O.

The grammar is llhttp's, in its strict mode; this file cuts a connection into requests. A request
whose end is not beyond doubt is refused, since the next one would begin at the wrong place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol
from urllib.parse import unquote_to_bytes

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

LONGEST_HEAD = 16 * 1024
"""Bytes of a request line and its fields."""
_LONGEST_TARGET = 8 * 1024
_MOST_FIELDS = 100
_MOST_EMPTY_LINES = 2

_LINE_END = b"\r\n"
_END = b"\r\n\r\n"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSIONS = ("HTTP/1.1", "HTTP/1.0")
_VERSION = re.compile(r"HTTP/[0-9]\.[0-9]")
_AUTHORITY = re.compile(
    r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~!$&'()*+,;=%-]{1,255})(?::[0-9]{0,5})?"
)
_ABSOLUTE = re.compile(r"https?://(?P<authority>[^/?#]*)(?P<rest>[/?].*)?", re.IGNORECASE)
_ORIGIN = re.compile(rb"\r\nOrigin:[ \t]*([^\r\n]*?)[ \t]*\r\n", re.IGNORECASE)
# One line each, as two of them would be read differently by different programs.
_SINGLE = frozenset(
    {"HTTP_HOST", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_AUTHORIZATION", "HTTP_X_API_KEY",
     "HTTP_ORIGIN", "HTTP_IDEMPOTENCY_KEY", "HTTP_LAST_EVENT_ID", "HTTP_X_CSRF_TOKEN"}
)  # fmt: skip

_CHUNKED_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
_LEAST_OVERHEAD = 16 * 1024
_MOST_OVERHEAD_OF_A_BYTE = 8


class Refused(Exception):
    """A request that is answered without the application, after which the connection ends.

    Args:
        status: Status of the answer.
        detail: What was wrong and what was expected.
        retry_after_seconds: When it may be tried again.
    """

    def __init__(
        self, status: HTTPStatus, detail: str, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its content.

    Attributes:
        version: ``HTTP/1.0`` or ``HTTP/1.1``.
        variables: What it adds to a WSGI environment (PEP 3333); of ``Content-Length`` and
            ``Transfer-Encoding`` only what follows is left.
        length: Bytes of content, if it says so; None with a chunked one.
        keep_alive: Another request may follow.
        awaits_continue: The client sends the content when it is told to (RFC 9110, 10.1.1).
    """

    method: str
    version: str
    variables: dict[str, str]
    length: int | None
    keep_alive: bool
    awaits_continue: bool


class HeadReader:
    """Reads one head, in as many pieces as it comes in."""

    def __init__(self) -> None:
        self._parser = HttpRequestParser(self)
        self._raw = bytearray()
        self._before = b""
        self._empty_lines = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._line: tuple[str, str, str] | None = None
        self._keep_alive: bool | None = None
        self.head: Head | None = None

    @property
    def path(self) -> str:
        """The address that is asked for, as far as it is known; ``/`` before that."""
        words = self._raw[:_LONGEST_TARGET].decode("latin-1").partition("\r")[0].split(" ")
        target = words[1] if len(words) > 1 else ""
        absolute = _ABSOLUTE.fullmatch(target)
        path, _, _ = ((absolute["rest"] or "") if absolute else target).partition("?")
        return _decoded(path) if path.startswith("/") else "/"

    @property
    def origin(self) -> str | None:
        """The page for which a browser asks (the field ``Origin``), as far as it is known."""
        if self.head is not None:
            return self.head.variables.get("HTTP_ORIGIN")
        found = _ORIGIN.search(self._raw)
        return found[1].decode("latin-1") if found else None

    def feed(self, data: bytes) -> bytes | None:
        """Take the next bytes of the connection.

        Returns:
            What follows the head, which is in ``head`` then; None before its end.

        Raises:
            Refused: It is not as RFC 9112, 3 to 5, has it, or too large.
        """
        raw = self._raw
        if not raw:
            data = self._skip_empty_lines(data)
        known = len(raw)
        raw += data
        if self._line is None and (stop := raw.find(_LINE_END)) >= 0:
            self._line = _request_line(raw[:stop].decode("latin-1"))
        end = raw.find(_END, max(known - 3, 0))
        size = len(raw) if end < 0 else end + len(_END)
        if size > LONGEST_HEAD:
            raise self._too_long()
        self._parse(data[: size - known])
        if end < 0:
            return None
        self.head = self._finish()
        return data[size - known :]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field from the parser."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Hear from the parser that the head is all there."""
        self._keep_alive = self._parser.should_keep_alive()

    def _skip_empty_lines(self, data: bytes) -> bytes:
        """Leave out what old clients send after the content of a request (RFC 9112, 2.2)."""
        data = self._before + data
        while data.startswith(_LINE_END):
            self._empty_lines += 1
            if self._empty_lines > _MOST_EMPTY_LINES:
                raise _bad("a request line was expected, and empty lines came")
            data = data[len(_LINE_END) :]
        self._before = data if data == b"\r" else b""
        return b"" if self._before else data

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # where to is for the application to say
        except HttpParserError as exc:
            raise self._fault(exc) from None
        if len(self._fields) > _MOST_FIELDS:
            raise Refused(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"The request has more than {_MOST_FIELDS} header fields.",
            )

    def _too_long(self) -> Refused:
        if _LINE_END not in self._raw[:_LONGEST_TARGET]:
            return _long_target()
        return Refused(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"The head of the request has more than {LONGEST_HEAD} bytes.",
        )

    def _fault(self, fault: HttpParserError) -> Refused:
        method, blank, _ = self._raw.decode("latin-1").partition(" ")
        if isinstance(fault, HttpParserInvalidMethodError) and blank and _TOKEN.fullmatch(method):
            return _no_method(method)
        return _bad(str(fault))

    def _finish(self) -> Head:
        # The parser refers to this object; without the cycle both go at once.
        del self._parser
        if self._line is None or self._keep_alive is None:
            raise _bad("the head ends too early")
        method, target, version = self._line
        variables = _fields(self._fields)
        variables["REQUEST_METHOD"] = method
        variables["SERVER_PROTOCOL"] = version
        is_1_1 = version == "HTTP/1.1"
        _check_host(variables, is_1_1)
        _aim(target, method, variables)
        length = _length(variables, is_1_1)
        awaits = _awaits_continue(variables) and is_1_1
        # A client of HTTP/1.0 knows where a stream ends by the end of the connection only.
        return Head(method, version, variables, length, self._keep_alive and is_1_1, awaits)


class Content(Protocol):
    """The content of a request, which is read as it comes in.

    Attributes:
        size: Bytes that were read.
        is_costly: It takes more time to read than to receive.
    """

    is_costly: bool

    @property
    def size(self) -> int: ...

    def feed(self, data: bytes) -> bytes | None:
        """Take the next bytes of the connection; give what follows the content at its end."""
        ...

    def take(self) -> bytes:
        """Return all of it."""
        ...


def content_of(head: Head, largest: int) -> Content:
    """Make what reads the content of a request.

    Args:
        head: Its head.
        largest: Bytes that it may have.

    Raises:
        Refused: It says that it has more.
    """
    if head.length is None:
        return _Chunked(largest)
    if head.length > largest:
        raise _too_large(largest)
    return _Sized(head.length)


class _Sized:
    """Content of a known length (RFC 9112, 6.2)."""

    is_costly = False

    def __init__(self, length: int) -> None:
        self._length = length
        self._bytes = bytearray()

    @property
    def size(self) -> int:
        return len(self._bytes)

    def feed(self, data: bytes) -> bytes | None:
        missing = self._length - len(self._bytes)
        self._bytes += data[:missing]
        return data[missing:] if len(data) >= missing else None

    def take(self) -> bytes:
        return bytes(self._bytes)


class _Chunked:
    """Content in chunks (RFC 9112, 7.1); its trailer fields are left out (RFC 9110, 6.5.1)."""

    is_costly = True

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._parser = HttpRequestParser(self)
        self._parser.feed_data(_CHUNKED_HEAD)
        self._bytes = bytearray()
        self._tail = b""
        self._wire = 0
        self._complete = False

    @property
    def size(self) -> int:
        return len(self._bytes)

    def feed(self, data: bytes) -> bytes | None:
        window, at = self._tail + data, len(self._tail)
        parse, find = self._parser.feed_data, window.find
        try:
            while at < len(window) and not self._complete:
                # It can end behind an empty line only, and the parser must not see what follows.
                end = find(_END, max(at - 3, 0)) + len(_END)
                end = end if end >= len(_END) else len(window)
                parse(window[at:end])
                at = end
        except HttpParserError as exc:
            raise _bad(str(exc)) from None
        self._check_sizes(len(data))
        if self._complete:
            del self._parser  # it refers to this object
            return window[at:]
        self._tail = window[-3:]
        return None

    def take(self) -> bytes:
        return bytes(self._bytes)

    def on_body(self, data: bytes) -> None:
        self._bytes += data

    def on_message_complete(self) -> None:
        self._complete = True

    def _check_sizes(self, more: int) -> None:
        self._wire += more
        if len(self._bytes) > self._largest:
            raise _too_large(self._largest)
        allowed = _LEAST_OVERHEAD + _MOST_OVERHEAD_OF_A_BYTE * len(self._bytes)
        if self._wire > allowed:
            raise _bad("the chunks have more around them than in them")


def _request_line(line: str) -> tuple[str, str, str]:
    method, _, rest = line.partition(" ")
    target, _, version = rest.rpartition(" ")
    if not _TOKEN.fullmatch(method) or not target or " " in target:
        raise _bad("the request line must be a method, a target and a version, one blank between")
    if version not in _VERSIONS:
        known = _VERSION.fullmatch(version)
        raise _no_version(version) if known else _bad("the request line must end with HTTP/1.1")
    if method == "CONNECT":
        raise _no_method(method)
    if len(target) > _LONGEST_TARGET:
        raise _long_target()
    return method, target, version


def _fields(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Name header fields as WSGI does, and join those of one name (RFC 9110, 5.3)."""
    variables: dict[str, str] = {}
    for name, raw in fields:
        key = _variable(name)
        value = raw.decode("latin-1").strip(" \t")
        if key not in variables:
            variables[key] = value
        elif key in _SINGLE:
            raise _bad(f"the field {name.decode('ascii')} must not be there twice")
        else:
            separator = "; " if key == "HTTP_COOKIE" else ","
            variables[key] += separator + value
    # Another program might take its '_' for '-'.
    variables.pop("", None)
    return variables


@lru_cache(maxsize=512)
def _variable(name: bytes) -> str:
    if b"_" in name:
        return ""
    key = name.decode("ascii").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _check_host(variables: dict[str, str], needed: bool) -> None:
    host = variables.get("HTTP_HOST")
    if host is None and needed:
        raise _bad("the field Host is missing")
    if host is not None and not _AUTHORITY.fullmatch(host):
        raise _bad("the field Host must be a host, and a port if it is not the usual one")


def _aim(target: str, method: str, variables: dict[str, str]) -> None:
    """Read the target of a request (RFC 9112, 3.2)."""
    if not target.startswith("/") and not (target == "*" and method == "OPTIONS"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None or not _AUTHORITY.fullmatch(absolute["authority"]):
            raise _bad("the target must be a path, or the whole address of something here")
        variables["HTTP_HOST"] = absolute["authority"]
        # Without a path it is about the server as a whole (RFC 9112, 3.2.4).
        rest = absolute["rest"] or ("*" if method == "OPTIONS" else "/")
        target = f"/{rest}" if rest.startswith("?") else rest
    if "#" in target:
        raise _bad("the target must have no fragment")
    path, _, variables["QUERY_STRING"] = target.partition("?")
    variables["PATH_INFO"] = _decoded(path)


def _decoded(path: str) -> str:
    return unquote_to_bytes(path).decode("latin-1") if "%" in path else path


def _length(variables: dict[str, str], may_be_chunked: bool) -> int | None:
    """Return how long the content is (RFC 9112, 6.3)."""
    coding = variables.pop("HTTP_TRANSFER_ENCODING", None)
    if coding is None:
        return int(variables.pop("CONTENT_LENGTH", "0"))
    if not may_be_chunked:
        raise _bad("HTTP/1.0 has no Transfer-Encoding")
    if coding.lower() != "chunked":
        text = "The only Transfer-Encoding that is read here is 'chunked'."
        raise Refused(HTTPStatus.NOT_IMPLEMENTED, text)
    return None


def _awaits_continue(variables: dict[str, str]) -> bool:
    expected = variables.get("HTTP_EXPECT")
    if expected is not None and expected.lower() != "100-continue":
        text = "The only expectation that can be met is '100-continue'."
        raise Refused(HTTPStatus.EXPECTATION_FAILED, text)
    return expected is not None


def _bad(fault: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, f"This is no request of HTTP/1.1: {fault}.")


def _no_method(method: str) -> Refused:
    return Refused(HTTPStatus.NOT_IMPLEMENTED, f"The method {method[:40]} is not known here.")


def _no_version(version: str) -> Refused:
    text = f"{version} is not spoken here; HTTP/1.1 is."
    return Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, text)


def _long_target() -> Refused:
    text = f"The target of the request has more than {_LONGEST_TARGET} bytes."
    return Refused(HTTPStatus.REQUEST_URI_TOO_LONG, text)


def _too_large(largest: int) -> Refused:
    text = f"The body must have at most {largest} bytes."
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)

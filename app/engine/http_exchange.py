"""One HTTP exchange, as RFC 9110 describes it: a request, the redirects it meets, its response.

Source: https://www.rfc-editor.org/rfc/rfc9110, sections 5.3 (repeated header fields), 15.2
(informational responses) and 15.4 (redirects).
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email.message import Message
from typing import Any, Final, TypedDict
from urllib.parse import unquote, urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.utils import requote_uri, urldefragauth

from app.domain import JSON

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_REDIRECTS: Final = 20

# The exit codes of curl(1), which people know.
BAD_URL, UNREACHABLE, TLS, EMPTY, BAD_RESPONSE, BAD_CERTIFICATE = 3, 7, 35, 52, 56, 60

_CHUNK_BYTES: Final = 64 * 1024
_SEE_OTHER: Final = 303
_POST_MAY_BECOME_GET: Final = frozenset({301, 302})
# Any other header of the author's may be a secret for the first server only, as X-Api-Key is.
_FOR_EVERYBODY: Final = ("accept", "content-", "user-agent")
# A server that vanished is noticed after six minutes; one that is slow never.
_KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 10),
)


class Request(TypedDict, total=False):
    """A request: ``method`` and ``url``, and as one likes the rest.

    A ``body`` that is text is sent as it is, anything else as JSON. ``expect_status`` are the
    statuses that the caller asked for.
    """

    method: str
    url: str
    headers: Mapping[str, str] | None
    body: JSON
    expect_status: Sequence[int] | None


@dataclass(frozen=True, slots=True)
class Response:
    """A response.

    Attributes:
        headers: Fields by their names in lower case. Those that stand several times are one, with
            commas between; but ``set-cookie``, whose values hold commas, is a list of all.
        media_type: That of the body, in lower case.
        charset: How its text is encoded: as the server says, otherwise in UTF-8.
        body: Its first :data:`MAX_BODY_BYTES`, decompressed.
        cut: Whether there was more of it.
    """

    status: int
    reason: str
    headers: Mapping[str, JSON]
    media_type: str
    charset: str
    body: bytes
    cut: bool


class ExchangeFailed(Exception):
    """There is no response.

    Attributes:
        code: As curl(1) exits in this case.
        message: What happened, without anything of the request, which may hold secrets.
    """

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def exchange(request: Request, follow: Callable[[int, str], None]) -> Response:
    """Send a request and read the response; it takes as long as the server does.

    Redirects are followed, but not one whose status is expected. The method and the body stay as
    they are, only a POST becomes a GET after 301 and 302, and all but HEAD after 303. To another
    server go no credentials, and only such headers as are never one.

    Args:
        request: What to send.
        follow: Called with the status and the new address of each redirect.

    Raises:
        ExchangeFailed: No complete response came.
    """
    # Else requests would replace an Authorization header by what the service's ~/.netrc says.
    os.environ.setdefault("NETRC", os.devnull)
    try:
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Adapter())
            return _follow(session, request, follow)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as exc:
        raise _failure(exc) from exc


def printable(url: str) -> str:
    """Leave out of a URL what may be a secret: user, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "URL"
    query = "?..." if parts.query else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{query}"


@dataclass(frozen=True, slots=True)
class _Target:
    """What is sent to one address.

    Attributes:
        url: Without user and password.
        auth: User and password.
        payload: The body, as an argument of requests.
    """

    method: str
    url: str
    auth: HTTPBasicAuth | None
    headers: Mapping[str, str]
    payload: Mapping[str, Any]


def _follow(
    session: requests.Session, request: Request, follow: Callable[[int, str], None]
) -> Response:
    target = _first_target(request)
    for redirects_left in range(MAX_REDIRECTS, -1, -1):
        with session.request(
            target.method, target.url, auth=target.auth, headers=dict(target.headers),
            allow_redirects=False, stream=True, **target.payload,
        ) as response:  # fmt: skip
            location = session.get_redirect_target(response)
            if location is None or response.status_code in (request.get("expect_status") or ()):
                return _read(response)
        session.close()  # a server may end its connection at just this moment
        target = _redirected(target, response.status_code, location)
        if redirects_left:
            follow(response.status_code, target.url)
    raise ExchangeFailed(BAD_RESPONSE, f"redirected more than {MAX_REDIRECTS} times")


def _first_target(request: Request) -> _Target:
    url, body = request["url"], request.get("body")
    payload = {} if body is None else {"json": body}
    if isinstance(body, str):
        payload = {"data": body.encode()}
    parts, auth = urlsplit(url), None
    if "@" in parts.netloc:  # in UTF-8 (RFC 7617); one without a password is a token, often
        user, password = (unquote(part or "") for part in (parts.username, parts.password))
        auth = HTTPBasicAuth(user.encode(), password.encode())
    return _Target(
        method=request["method"],
        url=urldefragauth(url) if auth else url,
        auth=auth,
        headers=request.get("headers") or {},
        payload=payload,
    )


def _redirected(target: _Target, status: int, location: str) -> _Target:
    """Return what is sent after a redirect (RFC 9110, 15.4)."""
    url = urldefragauth(urljoin(target.url, requote_uri(location)))
    new = replace(target, url=url)
    becomes_get = status in _POST_MAY_BECOME_GET and target.method == "POST"
    if becomes_get or (status == _SEE_OTHER and target.method != "HEAD"):
        kept = {k: v for k, v in new.headers.items() if not k.lower().startswith("content-")}
        new = replace(new, method="GET", headers=kept, payload={})
    if not _same_server(target.url, url):
        kept = {k: v for k, v in new.headers.items() if k.lower().startswith(_FOR_EVERYBODY)}
        new = replace(new, auth=None, headers=kept)
    return new


def _same_server(url: str, other: str) -> bool:
    """Whether two addresses have one origin, or the second is the first by TLS."""
    (scheme, host, port), after = _origin(url), _origin(other)
    upgraded = (scheme, port) == ("http", 80) and after == ("https", host, 443)
    return after == (scheme, host, port) or upgraded


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


def _read(response: requests.Response) -> Response:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            break
    fields = response.raw.headers
    headers: dict[str, JSON] = {name.lower(): ", ".join(fields.getlist(name)) for name in fields}
    if "set-cookie" in headers:
        headers["set-cookie"] = fields.getlist("set-cookie")
    content_type = Message()
    content_type["Content-Type"] = response.headers.get("Content-Type", "application/octet-stream")
    return Response(
        status=response.status_code,
        reason=response.reason or "",
        headers=headers,
        media_type=content_type.get_content_type(),
        charset=_charset(content_type.get_content_charset()),
        body=bytes(body[:MAX_BODY_BYTES]),
        cut=len(body) > MAX_BODY_BYTES,
    )


def _charset(name: str | None) -> str:
    """Return a charset that can be decoded whatever the bytes are."""
    try:
        b"\xff".decode(name or "", "replace")
    except (LookupError, ValueError):  # unknown, no charset of texts, or one that is for names
        return "utf-8"
    return name or "utf-8"


class _SkipInformational(http.client.HTTPResponse):
    """Passes over all informational responses; its base knows none but 100 (RFC 9110, 15.2)."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        informational = http.client.SWITCHING_PROTOCOLS < status < http.client.OK
        return version, http.client.CONTINUE if informational else status, reason


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _SkipInformational


class _TLSConnection(urllib3.connection.HTTPSConnection):
    response_class = _SkipInformational


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _Adapter(HTTPAdapter):
    """Speaks over connections as above, directly or through a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        options = [*_Connection.default_socket_options, *_KEEP_ALIVE]
        super().init_poolmanager(*args, **kwargs, socket_options=options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager


_FAILURES: Final[tuple[tuple[type[BaseException], int, str], ...]] = (
    (requests.exceptions.InvalidSchema, BAD_URL, "only http and https are spoken"),
    (ssl.SSLCertVerificationError, BAD_CERTIFICATE, "its certificate is not accepted"),
    (ssl.SSLError, TLS, "no TLS connection"),
    (socket.gaierror, UNREACHABLE, "not reachable"),
    (http.client.RemoteDisconnected, EMPTY, "the server ended the connection without a response"),
    (ConnectionResetError, BAD_RESPONSE, "the server broke the connection off"),
    (BrokenPipeError, BAD_RESPONSE, "the server broke the connection off"),
    (http.client.IncompleteRead, BAD_RESPONSE, "the response broke off"),
    (http.client.HTTPException, BAD_RESPONSE, "the response is not HTTP"),
    (urllib3.exceptions.DecodeError, BAD_RESPONSE, "the response cannot be decompressed"),
    (requests.exceptions.ChunkedEncodingError, BAD_RESPONSE, "the response broke off"),
    (requests.exceptions.ProxyError, UNREACHABLE, "not reachable through the proxy"),
    (requests.ConnectionError, UNREACHABLE, "not reachable"),
    (ValueError, BAD_URL, "not a valid request"),
    (BaseException, BAD_RESPONSE, "the response cannot be read"),
)


def _failure(exc: BaseException) -> ExchangeFailed:
    """Put into words what a library raised, whose own texts may hold the URL."""
    causes = list(_causes(exc))
    code, meaning = next(
        (code, meaning)
        for kind, code, meaning in _FAILURES
        if any(isinstance(cause, kind) for cause in causes)
    )
    details = (_detail(cause) for cause in causes)
    detail = next((detail for detail in details if detail), "")
    return ExchangeFailed(code, f"{meaning}: {detail}" if detail else meaning)


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Return an exception and all that it was made from."""
    pending, seen = [exc], set[int]()
    while pending:
        cause = pending.pop()
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            inner = (
                cause.__context__,
                cause.__cause__,
                getattr(cause, "reason", None),
                *cause.args,
            )
            pending += [one for one in inner if isinstance(one, BaseException)]


def _detail(cause: BaseException) -> str:
    """Name the system's own reason, if there is one."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, ssl.SSLError):
        return str(cause.reason or "").replace("_", " ").lower()
    return (cause.strerror or "") if isinstance(cause, OSError) else ""

"""The one way out over HTTP: bounded in time and in size, failing in our own words.

One table, :data:`ERRORS`, says for each exception of requests and urllib3 whether the upstream
surely did not receive the request (safe to repeat), perhaps did (look before repeating), or
answered something that makes no sense.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.cookiejar import DefaultCookiePolicy
from io import BytesIO
from pathlib import Path
from ssl import SSLCertVerificationError
from typing import Any

import orjson
import requests
from requests import exceptions as requests_errors
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import exceptions as urllib3_errors

from app.domain import JSON
from app.errors import (
    ConfigError,
    UpstreamError,
    UpstreamGarbled,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_LONGEST_CONNECT_SECONDS = 5.0
"""For a connection, however long an answer may take."""
_CHUNK_BYTES = 64 * 1024
_MIB = 1024 * 1024

ERRORS: Mapping[type[Exception], type[UpstreamError]] = {
    # Built wrongly, or refused before it was sent.
    requests_errors.ConnectTimeout: UpstreamUnreachable,
    requests_errors.ProxyError: UpstreamUnreachable,
    requests_errors.InvalidHeader: UpstreamUnreachable,
    requests_errors.InvalidJSONError: UpstreamUnreachable,
    requests_errors.InvalidProxyURL: UpstreamUnreachable,
    requests_errors.InvalidSchema: UpstreamUnreachable,
    requests_errors.InvalidURL: UpstreamUnreachable,
    requests_errors.MissingSchema: UpstreamUnreachable,
    requests_errors.URLRequired: UpstreamUnreachable,
    requests_errors.UnrewindableBodyError: UpstreamUnreachable,
    urllib3_errors.LocationValueError: UpstreamUnreachable,
    # Sent, at least in part, and then silence; see _NOT_SENT for the exceptions from this.
    requests_errors.ChunkedEncodingError: UpstreamTimeout,
    requests_errors.ConnectionError: UpstreamTimeout,
    requests_errors.ReadTimeout: UpstreamTimeout,
    requests_errors.RetryError: UpstreamTimeout,
    requests_errors.SSLError: UpstreamTimeout,
    requests_errors.Timeout: UpstreamTimeout,
    requests_errors.RequestException: UpstreamTimeout,
    urllib3_errors.ReadTimeoutError: UpstreamTimeout,
    urllib3_errors.HTTPError: UpstreamTimeout,
    OSError: UpstreamTimeout,
    # Answered.
    requests_errors.ContentDecodingError: UpstreamGarbled,
    requests_errors.HTTPError: UpstreamGarbled,
    requests_errors.JSONDecodeError: UpstreamGarbled,
    requests_errors.StreamConsumedError: UpstreamGarbled,
    requests_errors.TooManyRedirects: UpstreamGarbled,
    urllib3_errors.DecodeError: UpstreamGarbled,
}
"""Meaning of each exception; the nearest base class counts."""

_NOT_SENT = (
    urllib3_errors.ConnectTimeoutError,  # the base of NewConnectionError, too
    urllib3_errors.ProxyError,
    SSLCertVerificationError,
)

_SENTENCES: Mapping[type[UpstreamError], str] = {
    UpstreamUnreachable: "{} cannot be reached.",
    UpstreamTimeout: "{} did not answer in time.",
    UpstreamGarbled: "{} gave an answer that makes no sense.",
}
_RETRY_AFTER_SECONDS = 5.0
"""When a caller may come back while an upstream cannot be reached."""


class BodyTooLarge(UpstreamGarbled):
    """The answer is larger than the session accepts; a smaller page may fit."""


class HttpSession(requests.Session):
    """A session that cannot hang, cannot be flooded, and raises errors of our own tree.

    It may be shared by threads: it keeps no cookies, since a jar that one thread fills while
    another reads it is not safe. Proxies and credentials of the environment are not looked at.

    Args:
        upstream: What is behind it, as the start of a sentence that callers may read.
        timeout_seconds: Longest wait for a connection (at most 5 s of it), for the answer to
            begin, and for the rest of the answer.
        verify: Check certificates, against the CA certificates of a file when it is a path.
        keep_alive: Keep connections for later requests. Without, every request has a fresh one,
            and "refused" can be told from "closed in the meantime".
        follow_redirects: Follow them; otherwise a redirect is an answer like any other.
        pool_size: Connections to keep.
        max_body_bytes: Largest body, decoded, to accept.

    Raises:
        ConfigError: The file of CA certificates does not exist, or holds none.
    """

    def __init__(
        self,
        upstream: str,
        *,
        timeout_seconds: float,
        verify: bool | str = True,
        keep_alive: bool = True,
        follow_redirects: bool = False,
        pool_size: int = 32,
        max_body_bytes: int = 64 * _MIB,
    ) -> None:
        super().__init__()
        fault = _trust_fault(verify)
        if fault is not None:
            raise ConfigError(fault)
        self.upstream = upstream
        self.verify = verify
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        adapter: BaseAdapter = _BoundedAdapter(upstream, timeout_seconds, max_body_bytes, pool_size)
        if not keep_alive:
            self.headers["Connection"] = "close"
            adapter = _OneShotAdapter(upstream, timeout_seconds, max_body_bytes)
        for scheme in ("http://", "https://"):
            self.mount(scheme, adapter)
        self._follow_redirects = follow_redirects

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Make and send a request.

        Raises:
            UpstreamRefused: It cannot be made.
            UpstreamError: As for :meth:`send`.
        """
        try:
            return super().request(*args, **kwargs)
        except (requests.RequestException, ValueError):
            pass  # it quotes the malformed header or address, and so perhaps a secret
        text = f"The request to {self.upstream} cannot be made; is a credential malformed?"
        raise UpstreamRefused(text)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request and read the whole answer.

        Raises:
            UpstreamUnreachable: The upstream surely did not receive it.
            UpstreamTimeout: It may have received it.
            UpstreamGarbled: The answer cannot be read.
            BodyTooLarge: The answer is too large.
        """
        kwargs["allow_redirects"] = self._follow_redirects and kwargs.get("allow_redirects", True)
        with upstream_errors(self.upstream):
            return super().send(request, **kwargs)


def bind(session: requests.Session, upstream: str, seconds: float, max_body_bytes: int) -> None:
    """Give a session of some library the bounds of ours; see :class:`HttpSession`."""
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _OneShotAdapter(upstream, seconds, max_body_bytes))


class _BoundedAdapter(HTTPAdapter):
    """Sends one request, and reads the whole answer within its bounds."""

    def __init__(
        self, upstream: str, timeout_seconds: float, max_body_bytes: int, pool_size: int = 1
    ) -> None:
        super().__init__(pool_connections=1, pool_maxsize=pool_size)
        self._upstream = upstream
        self._timeout = (min(timeout_seconds, _LONGEST_CONNECT_SECONDS), timeout_seconds)
        self._max_body_bytes = max_body_bytes

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout
        kwargs["stream"] = True
        try:
            response = super().send(request, **kwargs)
        except OSError as exc:  # the base of what requests raises, too
            self._explain(exc, kwargs.get("verify"))
            raise
        try:
            body = self._read(response)
        except BaseException:
            response.close()
            raise
        response.raw = BytesIO(body)
        return response

    def _explain(self, exc: OSError, verify: Any) -> None:
        """Raise what is wrong where nothing was sent for want of certificates to trust.

        Their file is read for each new connection, and may be away for a moment.
        """
        if isinstance(exc, requests.RequestException) and not isinstance(
            exc, requests_errors.SSLError
        ):
            return
        fault = _trust_fault(verify)
        if fault is not None:
            raise UpstreamUnreachable(
                f"{self._upstream} cannot be reached: {fault}",
                detail=f"{type(exc).__name__}: {exc}",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            ) from exc

    def _read(self, response: requests.Response) -> bytes:
        """Read as the bytes come in: one that trickles must not outlast the timeout."""
        deadline = time.monotonic() + self._timeout[1]
        body = bytearray()
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > self._max_body_bytes:
                raise BodyTooLarge(f"{self._upstream} gave an answer that is too large.")
            if time.monotonic() > deadline:
                raise requests_errors.ReadTimeout("the body took too long")
        return bytes(body)


class _OneShotAdapter(BaseAdapter):
    """Sends each request through an adapter of its own: the header alone frees no connection."""

    def __init__(self, *bounds: Any) -> None:
        super().__init__()
        self._bounds = bounds

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        with closing(_BoundedAdapter(*self._bounds)) as adapter:
            return adapter.send(request, **kwargs)

    def close(self) -> None:
        """Nothing stays open."""


def _trust_fault(verify: Any) -> str | None:
    """Return what is wrong with the file (or folder) of CA certificates; None where all is well."""
    if not isinstance(verify, str):
        return None
    name = f"The file of CA certificates '{verify}'"
    path = Path(verify)
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(verify)
    except FileNotFoundError:
        return f"{name} does not exist."
    except ssl.SSLError:
        return f"{name} holds no certificates that can be read."
    except (OSError, ValueError) as exc:
        return f"{name} cannot be read: {getattr(exc, 'strerror', None) or exc}."
    return None


@contextmanager
def upstream_errors(upstream: str) -> Iterator[None]:
    """Translate what requests, urllib3 and the system raise; the original is the cause."""
    try:
        yield
    except (requests.RequestException, urllib3_errors.HTTPError, OSError) as exc:
        raise translate(exc, upstream) from exc


def translate(exc: Exception, upstream: str) -> UpstreamError:
    """Return our error for an exception of requests, urllib3 or the system.

    Args:
        exc: An exception of a class below one in :data:`ERRORS`.
        upstream: What failed, as the start of a sentence.
    """
    if any(isinstance(link, _NOT_SENT) for link in _chain(exc)):
        kind: type[UpstreamError] = UpstreamUnreachable
    else:
        kind = next(ERRORS[base] for base in type(exc).__mro__ if base in ERRORS)
    return kind(
        _SENTENCES[kind].format(upstream),
        detail=f"{type(exc).__name__}: {exc}",
        retry_after_seconds=_RETRY_AFTER_SECONDS if kind is UpstreamUnreachable else None,
    )


def _chain(exc: Any) -> Iterator[BaseException]:
    # By what an exception carries, not by __context__: that may lead to an earlier attempt.
    while isinstance(exc, BaseException):
        yield exc
        reason = getattr(exc, "reason", None)
        carried = exc.args[0] if exc.args else None
        exc = reason if isinstance(reason, BaseException) else carried


def dropped(exc: UpstreamError) -> bool:
    """Return whether the connection ended without an answer, as a kept one may that grew old."""
    return isinstance(exc, UpstreamTimeout) and isinstance(
        exc.__cause__, requests_errors.ConnectionError
    )


def read_json(response: requests.Response, upstream: str) -> JSON:
    """Decode a body.

    Raises:
        UpstreamGarbled: It is not JSON.
    """
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError as exc:
        detail = f"HTTP {response.status_code}, {len(response.content)} bytes: {exc}"
        raise UpstreamGarbled(_SENTENCES[UpstreamGarbled].format(upstream), detail=detail) from exc


@contextmanager
def expecting_shape(upstream: str) -> Iterator[None]:
    """Turn what goes wrong when JSON of another shape is taken apart into UpstreamGarbled."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as exc:
        raise UpstreamGarbled(
            _SENTENCES[UpstreamGarbled].format(upstream), detail=f"{type(exc).__name__}: {exc}"
        ) from exc

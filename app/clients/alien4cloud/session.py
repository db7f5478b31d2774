"""Logged-in calls to Alien4Cloud, and what its answers mean."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from app.caching import SingleFlight
from app.clients._http import HttpSession, dropped, read_json
from app.clients.alien4cloud.options import Alien4CloudOptions
from app.domain import JSON
from app.errors import (
    NotFound,
    UpstreamError,
    UpstreamGarbled,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)

MAINTENANCE = 0
AUTHENTICATION_REQUIRED = 100
AUTHENTICATION_FAILED = 101
UNAUTHORIZED = 102
CLOUD_DISABLED = 370
UNCATEGORIZED = 500
ILLEGAL_PARAMETER = 501
NOT_FOUND = 504
RUNTIME_WORKFLOW_ERROR = 619
PROPERTY_CONSTRAINT_VIOLATION = 800
BAD_WORKFLOW_OPERATION = 850
"""Error codes of the envelope (Alien4Cloud 3.8 REST, section 2)."""

_ROOT = "/rest/latest/"
_HOLD_SECONDS = 30.0
"""How long Alien4Cloud is spared when it refused the login, or is not up."""
_LONGEST_REASON = 300
_TRACE = re.compile(r"\s+at [\w.$<>]+\(.*")
_CLASS_NAME = re.compile(r"\b(?:[a-z_]\w*\.)+\w*(?:Exception|Error)\b:?\s*")


class Rejection(UpstreamRefused):
    """A refusal in the envelope, under whatever HTTP status.

    Attributes:
        error_code: Alien4Cloud's code; None where it gave none.
        reason: Its own words, on one line, without Java in them.
    """

    def __init__(self, upstream: str, error_code: int | None, reason: str) -> None:
        super().__init__(f"{upstream} refused: {reason}" if reason else f"{upstream} refused.")
        self.error_code = error_code
        self.reason = reason or "no reason given"


class InternalFailure(UpstreamGarbled):
    """Alien4Cloud itself answered that it failed, with an error that it has no code for."""


@dataclass(frozen=True, slots=True)
class _Envelope:
    """What every answer of a controller is wrapped in.

    Attributes:
        error_code: None where all is well.
        message: As it came; it may be a stack trace.
    """

    data: JSON
    error_code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class _Login:
    """One session on the server; ``number`` counts those of this process."""

    number: int
    cookies: Mapping[str, str]


class Alien4CloudSession:
    """Calls Alien4Cloud as one service account, from any number of threads.

    Args:
        upstream: What this is, as the start of a sentence.
        options: Where the server is, and who we are to it.
        clock: Seconds since the epoch.
        connections: Connections to keep.
    """

    def __init__(
        self,
        upstream: str,
        options: Alien4CloudOptions,
        clock: Callable[[], float] = time.time,
        *,
        connections: int = 32,
    ) -> None:
        self.upstream = upstream
        self._clock = clock
        self._up_since: float | None = None
        self._base = options.url.rstrip("/")
        self._credentials = {"username": options.user, "password": options.password}
        verify = (options.ca_file or True) if options.verify else False
        timeout = options.timeout
        self._kept = HttpSession(
            upstream, timeout_seconds=timeout, verify=verify, pool_size=connections
        )
        self._fresh = HttpSession(
            upstream, timeout_seconds=timeout, verify=verify, keep_alive=False
        )
        for session in (self._kept, self._fresh):
            session.headers["Accept"] = "application/json"
        self._logins: SingleFlight[int, _Login] = SingleFlight()
        self._lock = threading.Lock()
        self._login = _Login(0, {})
        self._refused_until = 0.0
        self._under_way: set[object] = set()

    @property
    def up_seconds(self) -> float:
        """For how long the server has answered every call of this process.

        What it does not show counts only against that: events wait while it is down.
        """
        up_since = self._up_since
        return 0.0 if up_since is None else self._clock() - up_since

    @property
    def under_way(self) -> int:
        """Number of requests of this process that wait for their answers."""
        return len(self._under_way)

    def get(self, *path: str, **params: str | int) -> JSON:
        """GET ``/rest/latest/<path>``; see :meth:`post`."""
        return self._call("GET", path, params=params)

    def post(self, *path: str, body: JSON, once: bool = False) -> JSON:
        """POST JSON to ``/rest/latest/<path>``.

        Args:
            path: Segments, which are quoted here.
            body: JSON to send.
            once: Use a fresh connection and never repeat the request on another, so that
                UpstreamUnreachable surely means "not received".

        Returns:
            The ``data`` of the envelope.

        Raises:
            Rejection: The envelope carries an error, and the server is sound.
            UpstreamRefused: The account may not use the server at all.
            UpstreamUnreachable: Surely not received, or the server is not in service.
            UpstreamTimeout: Perhaps received.
            UpstreamGarbled: The server failed, or answered something that is not its protocol.
            NotFound: A segment of the path cannot be the name of anything.
        """
        return self._call("POST", path, json=body, once=once)

    def _call(self, method: str, path: tuple[str, ...], *, once: bool = False, **body: Any) -> JSON:
        url = self._base + _ROOT + "/".join(_segment(part) for part in path)
        me = object()
        self._under_way.add(me)
        try:
            return self._data(self._logged_in(method, url, once, body))
        except (UpstreamUnreachable, UpstreamTimeout):
            self._up_since = None
            raise
        finally:
            self._under_way.discard(me)

    def _logged_in(
        self, method: str, url: str, once: bool, body: Mapping[str, Any]
    ) -> requests.Response:
        """Send a request; where the session turns out to have ended, once more after a login."""
        login = self._login if self._login.number else self._renew(self._login)
        response = self._send(method, url, login, once, body)
        if _logged_out(response):
            login = self._renew(login)
            response = self._send(method, url, login, once, body)
            if _logged_out(response):
                raise UpstreamRefused(f"{self.upstream} does not accept the session it gave.")
        return response

    def _send(
        self, method: str, url: str, login: _Login, once: bool, body: Mapping[str, Any]
    ) -> requests.Response:
        cookies = dict(login.cookies)
        if once:
            response = self._fresh.request(method, url, cookies=cookies, **body)
        else:
            response = self._request(method, url, cookies=cookies, **body)
        if response.cookies and response.status_code not in (401, 403):
            self._keep_cookies(login, response)
        return response

    def _request(self, method: str, url: str, **body: Any) -> requests.Response:
        """Send on a kept connection; where that turns out to be dead, once more on another."""
        try:
            return self._kept.request(method, url, **body)
        except UpstreamTimeout as exc:
            if not dropped(exc):
                raise
            return self._kept.request(method, url, **body)

    def _keep_cookies(self, login: _Login, response: requests.Response) -> None:
        """Take over what the server replaced, unless there is a newer login by now."""
        with self._lock:
            if self._login.number == login.number:
                cookies = {**self._login.cookies, **response.cookies.get_dict()}
                self._login = _Login(login.number, cookies)

    def _renew(self, known: _Login) -> _Login:
        """Log in once for all threads that found the same login missing or expired."""
        try:
            return self._logins.do(known.number, lambda: self._log_in_after(known))
        except (UpstreamTimeout, UpstreamGarbled) as exc:
            # The request that waits for this has surely not been carried out.
            raise UpstreamUnreachable(exc.message, detail=exc.detail) from exc

    def _log_in_after(self, known: _Login) -> _Login:
        if self._login.number != known.number:
            return self._login
        if time.monotonic() < self._refused_until:
            raise self._bad_credentials()
        login = _Login(known.number + 1, self._log_in())
        with self._lock:
            self._login = login
        return login

    def _log_in(self) -> Mapping[str, str]:
        """Open a session, from an empty cookie jar.

        Upstream: POST /login, form -> 302 to ``/rest/auth/status`` (Alien4Cloud 3.8 REST,
        section 1: the redirect alone tells, and is not followed).
        """
        response = self._request("POST", self._base + "/login", data=self._credentials)
        target = urlsplit(response.headers.get("Location", "")).path
        cookies: dict[str, str] = response.cookies.get_dict()
        if response.is_redirect and target.endswith("/auth/status") and cookies:
            return cookies
        envelope = _envelope(response)
        if target.endswith("/authenticationfailed") or (
            envelope is not None and envelope.error_code == AUTHENTICATION_FAILED
        ):
            self._refused_until = time.monotonic() + _HOLD_SECONDS
            raise self._bad_credentials()
        if response.status_code >= 400:
            self._data(response)
        detail = f"login answered HTTP {response.status_code}, Location {target!r}"
        raise UpstreamGarbled(f"{self.upstream} has no form login.", detail=detail)

    def _bad_credentials(self) -> UpstreamError:
        return UpstreamRefused(f"{self.upstream} does not accept our user name and password.")

    def _data(self, response: requests.Response) -> JSON:
        """Return the data of an answer, or raise what it says instead."""
        self._up_since = self._up_since or self._clock()
        status = response.status_code
        envelope = _envelope(response)
        if envelope is None or status >= 500:
            raise self._failure(response, envelope)
        if envelope.error_code is not None:
            if envelope.error_code == AUTHENTICATION_FAILED:
                raise self._bad_credentials()
            raise Rejection(self.upstream, envelope.error_code, _reason(envelope.message))
        if status >= 400:
            raise Rejection(self.upstream, None, f"HTTP {status}")
        return envelope.data

    def _failure(self, response: requests.Response, envelope: _Envelope | None) -> UpstreamError:
        status = response.status_code
        if envelope is not None and status == 503 and envelope.error_code == MAINTENANCE:
            text = f"{self.upstream} is in maintenance."
            return UpstreamUnreachable(text, retry_after_seconds=_HOLD_SECONDS)
        if envelope is None and status == 404:
            # Spring's own 404: the business paths exist only on a leader that has started.
            text = f"{self.upstream} is starting, or stands by."
            return UpstreamUnreachable(text, retry_after_seconds=_HOLD_SECONDS)
        if envelope is None and status in (502, 503, 504):
            return UpstreamTimeout(f"A proxy gave up on {self.upstream}.", detail=f"HTTP {status}")
        if envelope is not None:
            text = f"{self.upstream} failed with its internal error {envelope.error_code}."
            kind = InternalFailure if envelope.error_code == UNCATEGORIZED else UpstreamGarbled
            return kind(text, detail=f"HTTP {status}: {envelope.message[:1000]}")
        text = f"{self.upstream} gave an answer that is not its protocol."
        return UpstreamGarbled(text, detail=f"HTTP {status}, {len(response.content)} bytes")


def _segment(part: str) -> str:
    # "..", which no quoting disarms, would lead to another endpoint, "" to the list of all.
    if part in ("", ".", ".."):
        raise NotFound("There is no such thing.", detail=f"path segment {part!r}")
    return quote(part, safe="")


def _logged_out(response: requests.Response) -> bool:
    if response.status_code not in (401, 403):
        return False
    envelope = _envelope(response)
    return envelope is None or envelope.error_code in (None, AUTHENTICATION_REQUIRED)


def _envelope(response: requests.Response) -> _Envelope | None:
    """Unwrap an answer; None when it is not of the server's controllers."""
    try:
        body = read_json(response, "")
    except UpstreamGarbled:
        return None
    if not isinstance(body, dict) or not body.keys() & {"data", "error"}:
        return None
    error = body.get("error")
    if error is None:
        return _Envelope(body.get("data"), None, "")
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        return None
    return _Envelope(body.get("data"), error["code"], str(error.get("message") or ""))


def _reason(message: str) -> str:
    """Shorten the server's words to what people may read: a line, and no Java."""
    line = _TRACE.sub("", message.strip()).split("\n", 1)[0]
    return _CLASS_NAME.sub("", line).strip()[:_LONGEST_REASON]

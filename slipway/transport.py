"""Requests that come back with an answer of the service, or with one of our own exceptions.

What ``requests`` leaves open is decided here: redirects are never followed, a cut within the head
of an answer is no answer, time-outs and attempts are bounded by a clock, and no text of a
connection error gets out, since it holds the whole address with tickets and keys.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit
from weakref import WeakSet

import requests
from requests.auth import AuthBase

from slipway import faults
from slipway.attempts import Attempts, Patience, Repeat
from slipway.auth import Credential, Nobody
from slipway.errors import Misused, NotOurs, refusal
from slipway.half_json import begins_json

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
PROBLEM: Final = "application/problem+json"

_MOST_BYTES: Final = 64 * 1024 * 1024
"""An answer that is longer is none: a page of a log has some 4 MiB, a bundle less than 40."""
_SLOWEST_BYTES_PER_SECOND: Final = 10_000
"""An answer that comes for longer than its size is worth, and the silence before it, is none."""
_BLOCK_BYTES: Final = 65536
_GATEWAY: Final = frozenset({429, 502, 503, 504})
"""What something before the service answers when that does not."""
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BUSY: Final = frozenset({429, 503})
_BODILESS: Final = frozenset({202, 204})
_SHOWN: Final = frozenset(
    {"after", "from", "levels", "page", "page_size", "size", "state", "status", "tail", "timeout",
     "until", "wait"}
)  # fmt: skip
"""Parameters of requests that are no secrets."""
_KEY_IN_PATH: Final = re.compile(r"(/(?:ssh|api)_keys/[^/]{1,8})[^/]*")
_DIRECT: Final = {"http": None, "https": None, "all": None}
"""This machine is reached without a proxy, whatever ``no_proxy`` says."""
_UNREAD: Final = object()


class Answer(NamedTuple):
    """A whole answer of the service.

    Attributes:
        again: An earlier attempt was cut off, and may have been done.
        value: What a body of JSON stands for, which was read to see whether it is whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    again: bool = False
    value: Any = _UNREAD

    @property
    def media_type(self) -> str:
        """Of the body, without parameters; empty where there is none."""
        return media_type(self.headers)

    @property
    def text(self) -> str:
        """The body as text, which is UTF-8 always."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as what it stands for.

        Raises:
            NotOurs: It is no JSON.
        """
        if self.value is not _UNREAD:
            return self.value
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise NotOurs("The service answers with what is no JSON.") from None


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        path: Below the address of the service, quoted.
        accept: The types of an answer that are understood.
        wait: Seconds for which the service may take its time beside what it always may.
        patience: How long to try; as the client does unless given.
        statuses: From 400, which are answers as well.
        told: An answer to it has a body; without one it was cut.
    """

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    accept: str = JSON
    repeat: Repeat = Repeat.ALWAYS
    wait: float = 0.0
    patience: Patience | None = None
    statuses: frozenset[int] = frozenset()
    told: bool = True


def segment(text: str) -> str:
    """Quote what stands between two slashes of a path.

    Raises:
        Misused: It would lead elsewhere.
    """
    if not isinstance(text, str) or text in {"", ".", ".."}:
        raise Misused(f"{text!r} is no name.")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise Misused("A name is made of characters that can be written in UTF-8.") from None


def media_type(headers: Mapping[str, str]) -> str:
    """Return the type of a body without parameters; empty where there is none."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


class Transport:
    """Sends requests to one service; several threads may use it at the same time.

    Each thread has a ``requests.Session`` of its own, for as long as it lives, and so has a forked
    process.

    Args:
        url: Address of the service.
        auth: What is sent with each request.
        ca_file: Certificates of authorities that are trusted; those of ``REQUESTS_CA_BUNDLE``
            unless given.
        user_agent: What the program calls itself.
        patience: How long it tries.
        trace: Is told each attempt, without secrets.
        notice: Is told when there is no connection for long, and when there is one again.
        sleep: Waits for some seconds.
        clock: Tells seconds.
    """

    def __init__(
        self,
        url: str,
        auth: AuthBase | None = None,
        *,
        ca_file: str | None = None,
        user_agent: str = "slipway",
        patience: Patience | None = None,
        trace: Callable[[str], object] | None = None,
        notice: Callable[[str], object] | None = None,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url, self._direct = _address(url)
        self.auth = auth or Nobody()
        self.patience = patience or Patience()
        self.buffers = False
        self.sleep, self.clock = sleep, clock
        self._ca_file, self._user_agent = ca_file, user_agent
        self._trace, self._notice = trace, notice
        self._local = threading.local()
        self._sessions: WeakSet[requests.Session] = WeakSet()

    def close(self) -> None:
        """Close all connections; the next request opens one again."""
        sessions, self._sessions = self._sessions, WeakSet()
        self._local = threading.local()
        for session in sessions:
            session.close()

    def trace(self, line: str) -> None:
        """Tell somebody who looks for a fault what is done."""
        if self._trace is not None:
            self._trace("".join(c if c.isprintable() else " " for c in line))

    def notice(self, sentence: str) -> None:
        """Tell somebody who watches what they should know."""
        self.trace(sentence)
        if self._notice is not None:
            self._notice(sentence)

    def send(self, request: Request) -> Answer:
        """Ask until there is an answer.

        Raises:
            SlipwayError: The service refuses, is no Slipway service, or cannot be reached.
        """
        attempts = Attempts(
            self, request.patience or self.patience, request.repeat,
            changes=request.method not in _READING,
        )  # fmt: skip
        while True:
            try:
                answer = self.once(request)
            except faults.Fault as fault:
                attempts.failed(fault)
            else:
                attempts.succeeded()
                return answer._replace(again=attempts.unsure)

    def open(self, request: Request, read_seconds: float) -> requests.Response:
        """Ask once, and return the answer with its body still to come.

        Args:
            request: What is asked.
            read_seconds: Longest silence.

        Raises:
            Fault: No answer came, or one that says to ask again.
            SlipwayError: The service says no, or it is not an answer of the service.
        """
        response = self._begin(request, read_seconds)
        if response.status_code == 200 and media_type(response.headers) == request.accept:
            return response
        with response:
            answer = self._finish(request, response)
        # It has the status of an answer and none of what was asked for: its head was cut.
        raise faults.cut(self.url, f"{answer.status} without a body")

    def once(self, request: Request) -> Answer:
        """Ask once.

        Raises:
            Fault: No answer came, or one that says to ask again.
            SlipwayError: The service says no, or it is not an answer of the service.
        """
        patience = request.patience or self.patience
        with self._begin(request, request.wait + patience.silence) as response:
            return self._finish(request, response)

    def _begin(self, request: Request, read_seconds: float) -> requests.Response:
        began = self.clock()
        patience = request.patience or self.patience
        connect = min(patience.connect, read_seconds)
        try:
            response = self._once(request, (connect, read_seconds))
            if response.status_code == 401 and self._renewed():
                response.close()
                response = self._once(request, (connect, read_seconds))
        except faults.OF_CONNECTIONS as exc:
            fault = faults.of(exc, self.url, read_seconds, self.ca_file)
            self.trace(f"{_shown(request)}: {fault.error}")
            raise fault from None
        except UnicodeError:
            why = "What is sent in the head of a request is made of characters of ASCII."
            raise Misused(why) from None
        self.trace(
            f"{_shown(request)}: {response.status_code} {media_type(response.headers)} after "
            f"{self.clock() - began:.3f} s, request {response.headers.get('X-Request-ID', '-')}"
        )
        return response

    def _once(self, request: Request, timeout: tuple[float, float]) -> requests.Response:
        return self._session().request(
            request.method,
            self.url + request.path,
            params=request.params,
            data=request.body,
            headers={"Accept": request.accept, "Accept-Encoding": "identity", **request.headers},
            auth=self.auth,
            timeout=timeout,
            allow_redirects=False,
            proxies=dict(_DIRECT) if self._direct else None,  # type: ignore[arg-type]
            verify=self.ca_file or True,
            stream=True,
        )

    def _renewed(self) -> bool:
        return isinstance(self.auth, Credential) and self.auth.renew()

    def _finish(self, request: Request, response: requests.Response) -> Answer:
        """Read the rest of an answer, and return it if it is one of the service."""
        try:
            body = self._body(response, request)
        except faults.OF_CONNECTIONS as exc:
            raise faults.of(exc, self.url, request.wait, self.ca_file, begun=True) from None
        answer = Answer(response.status_code, response.headers, body)
        if not _is_whole(answer):
            raise faults.cut(self.url, f"{answer.status} with half a head")
        return self._judge(request, answer)

    def _body(self, response: requests.Response, request: Request) -> bytes:
        """Read a body that ends, in bounded time and memory."""
        patience = request.patience or self.patience
        ends_at = self.clock() + patience.silence
        body = bytearray()
        while block := response.raw.read1(_BLOCK_BYTES, decode_content=True):
            body += block
            if len(body) > _MOST_BYTES:
                raise NotOurs(f"{self.url} answers without an end; that is not Slipway.")
            if self.clock() > ends_at + len(body) / _SLOWEST_BYTES_PER_SECOND:
                raise faults.silent(self.url, patience.silence)
        return bytes(body)

    def _judge(self, request: Request, answer: Answer) -> Answer:
        """Return an answer that is what was asked for; all else is an exception."""
        status = answer.status
        if 300 <= status < 400:
            target = urlsplit(answer.headers.get("Location", "")).netloc or "another page"
            raise NotOurs(
                f"{self.url} sends on to {target[:100]}, as for a login; that is not Slipway."
            )
        if status in request.statuses and answer.media_type in {JSON, PROBLEM}:
            return answer._replace(value=self._parse(answer))
        if status >= 400:
            raise self._no(answer)
        if status in _BODILESS:
            return answer
        if not answer.body:
            if request.told:
                raise faults.cut(self.url, f"{status} without a body")
            return answer
        if answer.media_type not in {each.strip() for each in request.accept.split(",")}:
            kind = answer.media_type or "something"
            raise NotOurs(f"{self.url} answers with {kind[:100]}; that is not Slipway.")
        if answer.media_type == JSON:
            return answer._replace(value=self._parse(answer))
        if not _is_framed(answer.headers):
            raise faults.cut(self.url, f"nothing says where its {answer.media_type} ends")
        return answer

    def _no(self, answer: Answer) -> Exception:
        """Return what an answer with a status from 400 is."""
        wait = faults.retry_after(answer.headers)
        if answer.media_type == PROBLEM:
            problem = self._parse(answer)
            if isinstance(problem, Mapping):
                refused = refusal(answer.status, problem, wait)
                # 409: another attempt of the same launch is not certain yet.
                busy = answer.status in _BUSY or (answer.status == 409 and wait is not None)
                return faults.busy(refused) if busy else refused
        if answer.status in _GATEWAY:
            return faults.gateway(self.url, answer.status, wait)
        kind = answer.media_type or "nothing"
        return NotOurs(f"{self.url} answers {answer.status} with {kind}; that is not Slipway.")

    def _parse(self, answer: Answer) -> Any:
        """Return what a body stands for; one that goes on until the connection ends may be cut."""
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            if not _is_framed(answer.headers) and begins_json(answer.body):
                raise faults.cut(self.url, f"{answer.status} with half a body") from None
            raise NotOurs(
                f"{self.url} answers with what is no {answer.media_type}; that is not Slipway."
            ) from None

    @property
    def is_here(self) -> bool:
        """Whether the service is on this machine."""
        return self._direct

    @property
    def ca_file(self) -> str | None:
        """File of the certificates that are trusted; None for those that come with Python.

        What is for this service comes before what is for all.
        """
        variables = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        return self._ca_file or variables

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None or self._local.process != os.getpid():
            session = requests.Session()
            session.headers["User-Agent"] = self._user_agent
            self._local.session, self._local.process = session, os.getpid()
            self._sessions.add(session)
        return session


def _shown(request: Request) -> str:
    """Return what may be told of a request."""
    query = "&".join(f"{k}={v if k in _SHOWN else '...'}" for k, v in request.params.items())
    path = _KEY_IN_PATH.sub(r"\1...", request.path)
    return f"{request.method} {path}{'?' if query else ''}{query}"


def _is_framed(headers: Mapping[str, str]) -> bool:
    """Whether the head says where the body ends (RFC 9112, 6.3)."""
    chunked = headers.get("Transfer-Encoding", "").lower().rpartition(",")[2].strip() == "chunked"
    return chunked or headers.get("Content-Length", "").isdecimal()


def _is_whole(answer: Answer) -> bool:
    """Whether the head was not cut: http.client takes what there is of it for all of it."""
    return bool(answer.body) or answer.status == 204 or _is_framed(answer.headers)


def _address(url: str) -> tuple[str, bool]:
    """Return the address of a service without a slash at its end, and whether it is this machine.

    Raises:
        Misused: It is none.
    """
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise Misused("The address of the service is no URL.") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise Misused("The address of the service begins with http:// or https://.")
    if "@" in parts.netloc:
        raise Misused("The address of the service holds a user name; give it as auth.")
    if parts.query or parts.fragment:
        raise Misused("The address of the service ends with its path.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", _is_here(host)


def _is_here(host: str) -> bool:
    if host.rstrip(".") == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

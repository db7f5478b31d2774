"""The server: HTTP, sessions, faults and counters."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from . import catalogue_routes, execution_routes, routing
from .accounts import Account, Sessions
from .faults import Fault, Faults, Kind
from .http import Listener
from .replies import (
    STACK_TRACE,
    Refused,
    Reply,
    Request,
    failed,
    internal_error,
    json_reply,
    ok,
    spring_not_found,
)
from .run import Run
from .server_state import State
from .world import Application, World

__all__ = ["Alien4Cloud", "catalogue_routes", "execution_routes"]

_PREFIXES = ("/rest/latest", "/rest/v1", "/rest")
_URL_RESTRICTED = ("/rest/admin/", "/rest/audit/", "/rest/v1/audit/", "/rest/alienEndPoint/")


class Alien4Cloud:
    """An Alien4Cloud on 127.0.0.1.

    Args:
        port: TCP port; 0 for any free one.
        latency: Seconds that every answer takes longer.
        start_delay: Seconds until a launched execution can be seen.
        session_seconds: Seconds of inactivity that end a session.

    Attributes:
        requests: Number of requests by endpoint.
        history: Moment and endpoint of each request.
        state: Switches; see :class:`State`.
        faults: Faults that are set.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        latency: float = 0.0,
        start_delay: float = 1.0,
        session_seconds: float = 1800.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._offset = 0.0
        self._lock = threading.Lock()
        self.latency = latency
        self.world = World(self.now, start_delay)
        self.state = State(self.world)
        self.accounts = {"admin": Account("admin", "secret", admin=True)}
        self.sessions = Sessions(self.now, session_seconds)
        self.faults = Faults()
        self.requests: Counter[str] = Counter()
        self.history: list[tuple[float, str]] = []
        self._listener = Listener(self._answer, self.faults, port)

    def __enter__(self) -> Alien4Cloud:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.faults.clear()
        self.down()

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self._listener.port}"

    @property
    def logins(self) -> int:
        """Number of logins asked for."""
        return self.requests["login"]

    @property
    def runs(self) -> list[Run]:
        """The executions, in the order of their launch."""
        return list(self.world.runs.values())

    def now(self) -> float:
        """Return the server's time, in seconds since the epoch."""
        return self._clock() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the server's time forward."""
        self._offset += seconds

    def up(self) -> None:
        """Listen, on the same port as before."""
        self._listener.open()

    def down(self) -> None:
        """Stop listening, and end every connection."""
        self._listener.close()

    def account(self, name: str, password: str = "secret", **roles: str) -> Account:
        """Add an account that is no admin, with a role by application."""
        self.accounts[name] = Account(name, password, roles=roles)
        return self.accounts[name]

    def application(
        self, id_: str, *, tags: Mapping[str, str] | None = None, description: str = ""
    ) -> Application:
        """Add an application."""
        application = Application(self.world, id_, dict(tags or {}), description)
        self.world.applications[id_] = application
        return application

    def fault(self, kind: Kind, endpoint: str = "*", **options: Any) -> None:
        """Set a fault."""
        self.faults.add(Fault(kind, endpoint, **options))

    def stack_trace(self, endpoint: str = "*", *, after: bool = False, **options: Any) -> None:
        """Let requests fail as Java does."""
        kind = Kind.REPLY_AFTER if after else Kind.REPLY
        message = STACK_TRACE.replace("null\n", "boom\n")
        body = failed(500, 500, message, STACK_TRACE).body
        self.fault(kind, endpoint, status=500, body=body, **options)

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Any:
        """Answer a request; see :class:`Listener` for what a fault makes of it."""
        url = urlsplit(target)
        path = _below_prefix(url.path)
        found = routing.find(method, path) if path else None
        endpoint = "login" if url.path == "/login" else found[0].name if found else "other"
        with self._lock:
            self.requests[endpoint] += 1
            self.history.append((time.monotonic(), endpoint))
        if self.latency:
            time.sleep(self.latency)
        fault = self.faults.take(endpoint)
        if fault is not None and fault.kind in (Kind.DROP_BEFORE, Kind.HANG_BEFORE, Kind.REPLY):
            return Reply(fault.status, fault.body), fault
        cookie = _cookie(headers)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        account = self.sessions.account(cookie)
        request = Request(method, url.path, query, body, account, cookie)
        try:
            with self.world.lock:
                reply = self._handle(request, path, found)
        except Refused as exc:
            reply = exc.reply
        if fault is not None and fault.kind is Kind.REPLY_AFTER:
            reply = Reply(fault.status, fault.body)
        return reply, fault

    def _handle(self, request: Request, path: str | None, found: Any) -> Reply:
        if request.path == "/login" and request.method == "POST":
            return self._login(request)
        if path == "/auth/status":
            return self._auth_status(request)
        if request.path.startswith("/rest/auth/authenticationfailed"):
            return failed(401, 101, "Authentication failed")
        return self._gate(request, path) or self._route(request, path or "", found)

    def _gate(self, request: Request, path: str | None) -> Reply | None:
        """Refuse what does not even reach a controller."""
        if request.path.startswith(_URL_RESTRICTED) and request.account is None:
            return self._refuse_url(request)
        if self.state.maintenance:
            return failed(503, 0, "Maintenance mode is enabled.")
        if path is None or self.state.starting:
            return spring_not_found(request.path)
        return None

    def _route(self, request: Request, path: str, found: Any) -> Reply:
        if found is None:
            wrong_method = routing.mapped(path)
            return internal_error("wrong method") if wrong_method else spring_not_found(path)
        if request.account is None:
            return self._refuse_anonymous()
        route, parts = found
        reply: Reply = route.handler(self.state, request, *parts)
        return reply

    def _login(self, request: Request) -> Reply:
        form = {k: v[0] for k, v in parse_qs(request.body.decode()).items()}
        account = self.accounts.get(form.get("username", ""))
        if account is None or account.password != form.get("password"):
            return Reply(302, headers=[("Location", f"{self.url}/rest/auth/authenticationfailed")])
        target = self.sessions.saved_request(request.session) or "/rest/auth/status"
        cookie = self.sessions.open(account)
        return Reply(302, headers=[("Location", f"{self.url}{target}"), _set_cookie(cookie)])

    def _auth_status(self, request: Request) -> Reply:
        account = request.account
        roles = ["ADMIN"] if account and account.admin else ["ROLE_ANONYMOUS"]
        name = account.name if account else "anonymousUser"
        return ok({"isLogged": account is not None, "username": name, "roles": roles,
                   "groups": None, "authSystem": "alien"})  # fmt: skip

    def _refuse_anonymous(self) -> Reply:
        # An anonymous session may be begun here; whoever takes its cookie for a login is lost.
        reply = failed(403, 100, "Authentication required for this request : ")
        reply.headers.append(_set_cookie(self.sessions.open(None)))
        return reply

    def _refuse_url(self, request: Request) -> Reply:
        """Refuse by URL: another status, indented, and without the key ``data``."""
        message = f"Authentication required for this request : {request.path}"
        reply = json_reply(401, {"error": {"code": 100, "message": message}}, indent=2)
        reply.headers.append(_set_cookie(self.sessions.open(None, saved_request=request.path)))
        return reply


def _below_prefix(path: str) -> str | None:
    for prefix in _PREFIXES:
        if path.startswith(f"{prefix}/"):
            return path[len(prefix) :]
    return None


def _cookie(headers: Mapping[str, str]) -> str | None:
    pairs = (item.strip().partition("=") for item in headers.get("Cookie", "").split(";"))
    return next((value for name, _, value in pairs if name == "JSESSIONID"), None)


def _set_cookie(value: str) -> tuple[str, str]:
    return "Set-Cookie", f"JSESSIONID={value}; Path=/; HttpOnly"

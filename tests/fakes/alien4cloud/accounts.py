"""Accounts and their sessions."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Account:
    """An account.

    Attributes:
        roles: Role by application, for one that is no admin.
    """

    name: str
    password: str
    admin: bool = False
    roles: dict[str, str] = field(default_factory=dict)

    def may_see(self, application: str) -> bool:
        """Return whether it holds any role on an application."""
        return self.admin or application in self.roles

    def may_deploy(self, application: str) -> bool:
        """Return whether it may launch workflows of an application."""
        return self.admin or self.roles.get(application) == "APPLICATION_MANAGER"


@dataclass
class _Session:
    account: Account | None
    used_at: float
    saved_request: str | None = None


class Sessions:
    """The sessions in the server's memory; ``seconds`` of inactivity end one."""

    def __init__(self, now: Callable[[], float], seconds: float) -> None:
        self.seconds = seconds
        self._now = now
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}

    def open(self, account: Account | None, saved_request: str | None = None) -> str:
        """Begin a session, and return its cookie."""
        cookie = secrets.token_hex(16).upper()
        with self._lock:
            self._sessions[cookie] = _Session(account, self._now(), saved_request)
        return cookie

    def account(self, cookie: str | None) -> Account | None:
        """Return who is logged in, and keep the session alive."""
        session = self._live(cookie)
        return session.account if session else None

    def saved_request(self, cookie: str | None) -> str | None:
        """Return where a login leads that began with a refused request."""
        session = self._live(cookie)
        return session.saved_request if session else None

    def clear(self) -> None:
        """End all sessions, as a restart does."""
        with self._lock:
            self._sessions.clear()

    def _live(self, cookie: str | None) -> _Session | None:
        with self._lock:
            session = self._sessions.get(cookie or "")
            if session is None:
                return None
            if self._now() >= session.used_at + self.seconds:
                del self._sessions[cookie or ""]
                return None
            session.used_at = self._now()
            return session

"""Sessions of browsers: begun after signing in, and ended by signing out."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.domain import AuditResult, Credential, Identity
from app.errors import Conflict, NotAuthenticated, SlipwayError, UpstreamError
from app.identity.authenticators import Authenticators
from app.identity.port import Arrival, BrowserSignIn
from app.identity.session_directory import SessionDirectory, digest_of, make_session_key
from app.identity.sessions import SESSION, epoch_of
from app.identity.users import UserDirectory
from app.identity.written import write_identity
from app.services.audit import Audit
from app.settings import SessionSettings
from app.store.execution_rows import now
from app.store.sessions import NewSession, Sessions

_SIGN_IN: Final = "sign-in"
_SIGN_OUT: Final = "sign-out"
_LONGEST_AGENT: Final = 200
_LONGEST_ADDRESS: Final = 64
_WHERE: Final = "/auth/session"


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that was begun.

    Attributes:
        key: What the browser is to hold, which nobody can be told again.
    """

    key: str
    identity: Identity
    expires_at: datetime


class SessionService:
    """Begins and ends sessions.

    Args:
        store: The sessions.
        directory: The same, as requests see them.
        users: Those of the service.
        authenticators: The ways to sign in.
        settings: How long sessions last, and how many there may be.
        audit: Hears of who has signed in and out.
    """

    def __init__(
        self,
        store: Sessions,
        directory: SessionDirectory,
        users: UserDirectory,
        *,
        authenticators: Authenticators,
        settings: SessionSettings,
        audit: Audit,
    ) -> None:
        self._store = store
        self._directory = directory
        self._users = users
        self._authenticators = authenticators
        self._settings = settings
        self._audit = audit

    @property
    def signs_in_elsewhere(self) -> bool:
        """Whether browsers can sign in by being sent elsewhere."""
        return self._authenticators.browser is not None

    def begin(self, identity: Identity, address: str | None, user_agent: str | None) -> Begun:
        """Begin a session.

        Args:
            identity: Whose it is, with the credential that they have shown.
            address: Where they are.
            user_agent: What their browser calls itself.

        Raises:
            Conflict: They have shown a session already, or none is needed.
        """
        if identity.shared or identity.credential.authenticator == SESSION:
            raise Conflict(
                "A session is begun with a credential of somebody, and not with another."
            )
        settings, key = self._settings, make_session_key()
        expires_at = now() + timedelta(seconds=settings.lifetime)
        if identity.credential.expires_at is not None:
            expires_at = min(expires_at, identity.credential.expires_at)
        session = NewSession(
            id=secrets.token_hex(8),
            digest=digest_of(key),
            username=identity.username,
            epoch=epoch_of(self._users, identity.username),
            identity=write_identity(identity),
            address=(address or "")[:_LONGEST_ADDRESS] or None,
            user_agent=_plain(user_agent) or None,
            expires_at=expires_at,
        )
        event = self._audit.event(
            _SIGN_IN, _WHERE, username=identity.username,
            detail=f"session {session.id}, by {identity.credential.authenticator}",
        )  # fmt: skip
        idle = timedelta(seconds=settings.idle)
        self._store.add(session, settings.max_per_user, idle, event)
        self._directory.expire()
        self._audit.tell(event)
        return Begun(key, identity, expires_at)

    def depart(self, secret: str, target: str, here: str) -> str:
        """Return where a browser signs in; see :class:`BrowserSignIn`.

        Raises:
            Conflict: It cannot sign in elsewhere.
            UpstreamError: That place cannot be asked.
        """
        return self._elsewhere().depart(secret, target, here)

    def arrive(self, secret: str | None, answer: Mapping[str, str], here: str) -> Arrival:
        """Return who has come back from where they signed in; see :class:`BrowserSignIn`.

        Raises:
            Conflict: Browsers cannot sign in elsewhere.
            SignInFailed: Nobody has signed in.
            UpstreamError: Nobody can say whether somebody has.
        """
        browser = self._elsewhere()
        try:
            return browser.arrive(secret, answer, here)
        except SlipwayError as exc:
            is_ours = isinstance(exc, UpstreamError)
            result = AuditResult.FAILED if is_ours else AuditResult.DENIED
            self._audit.record(
                self._audit.event(_SIGN_IN, _WHERE, result=result, detail=exc.message)
            )
            raise

    def find(self, key: str | None) -> Identity | None:
        """Return whose session a browser holds the key of; None where there is none.

        Raises:
            StoreUnavailable: Nobody knows.
        """
        if not key:
            return None
        try:
            session = self._directory.with_key(key)
            return self._authenticators.recheck(_of_session(session.username, session.id))
        except NotAuthenticated:
            return None

    def end(self, identity: Identity, here: str) -> str | None:
        """End the session by which somebody asks; it is worth nothing any more, everywhere.

        Args:
            identity: They, and the session.
            here: Address of the service, as browsers know it.

        Returns:
            Where the browser signs out as well, if it has signed in elsewhere.
        """
        event = self._audit.event(
            _SIGN_OUT, _WHERE, username=identity.username,
            detail=f"session {identity.credential.id}",
        )  # fmt: skip
        if self._store.end(identity.credential.id, event):
            self._audit.tell(event)
        self._directory.expire()
        begun_with, browser = identity.credential.begun_with, self._authenticators.browser
        if browser is None or begun_with is None or not browser.has_begun(begun_with):
            return None
        return browser.goodbye(here)

    def _elsewhere(self) -> BrowserSignIn:
        browser = self._authenticators.browser
        if browser is None:
            text = "Browsers cannot sign in elsewhere: 'api.auth.type' does not name 'oidc'."
            raise Conflict(text)
        return browser


def _of_session(username: str, id_: str) -> Identity:
    return Identity(username, frozenset(), credential=Credential(SESSION, id_))


def _plain(text: str | None) -> str:
    """Return a text that somebody sent, fit to be kept and shown."""
    return "".join(c for c in text or "" if c.isprintable())[:_LONGEST_AGENT]

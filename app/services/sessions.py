"""Sessions of browsers: begun after signing in, and ended by signing out."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.domain import AuditResult, Credential, Identity, Permission
from app.errors import (
    Conflict,
    NotAuthenticated,
    NotFound,
    SlipwayError,
    StoreUnavailable,
    UpstreamError,
)
from app.identity.authenticators import Authenticators
from app.identity.permissions import is_allowed, require
from app.identity.port import Arrival, BrowserSignIn
from app.identity.session_directory import SessionDirectory, digest_of, make_session_key
from app.identity.sessions import SESSION, epoch_of
from app.identity.users import UserDirectory
from app.identity.written import read_identity, write_identity
from app.services.audit import Audit
from app.settings import SessionSettings
from app.store.execution_rows import now
from app.store.sessions import NewSession, Sessions, StoredSession

_SIGN_IN: Final = "sign-in"
_SIGN_OUT: Final = "sign-out"
_LONGEST_AGENT: Final = 200
_LONGEST_ADDRESS: Final = 64
_WHERE: Final = "/auth/session"
_ID_BYTES: Final = 8
ID_PATTERN: Final = rf"[0-9a-f]{{{2 * _ID_BYTES}}}"
_ID: Final = re.compile(ID_PATTERN)
_NO_SUCH: Final = "There is no such session."


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that was begun.

    Attributes:
        id: Names it, and opens nothing.
        key: What the browser is to hold, which nobody can be told again.
    """

    id: str
    key: str
    identity: Identity
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Shown:
    """What people are told of a session; nothing of it opens anything.

    Attributes:
        id: Names it.
        begun_with: Name of the way to sign in by which it was begun.
        address: From where it was begun; None where nobody knows.
        user_agent: What the browser called itself then; None where it did not.
        last_used_at: To the minute.
        expires_at: When it ends, however much it is used.
        current: Whether it is asked for in it.
    """

    id: str
    username: str
    begun_with: str
    address: str | None
    user_agent: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool


class SessionService:
    """Begins, lists and ends sessions.

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
            id=secrets.token_hex(_ID_BYTES),
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
        return Begun(session.id, key, identity, expires_at)

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

    def goodbye(self, here: str, state: str = "") -> str | None:
        """Return where a browser signs out that has signed in elsewhere; None where it cannot.

        Args:
            here: Address of the service, as browsers know it.
            state: A word that the browser brings back.
        """
        browser = self._authenticators.browser
        return None if browser is None else browser.goodbye(here, state)

    def list(self, identity: Identity, username: str) -> list[Shown]:
        """List the sessions of somebody that have not ended, newest first.

        Args:
            identity: Who asks.
            username: Whose.

        Raises:
            NotAllowed: They are of somebody else, and who asks does not manage users.
            StoreUnavailable: Nobody knows.
        """
        if not _is_own(identity, username):
            require(identity, Permission.USERS_MANAGE)
        stored = self._store.of_user(username)
        return [_shown(each, identity) for each in stored if self._holds(each)]

    def end_one(self, id_: str, identity: Identity) -> None:
        """End a session, from wherever; it is worth nothing any more, everywhere.

        Args:
            id_: Its id.
            identity: Whose it is, or who manages users.

        Raises:
            NotFound: They have no such session, and may end nobody else's.
            StoreUnavailable: Nobody knows.
        """
        found = self._store.by_id(id_) if _ID.fullmatch(id_) else None
        manages = is_allowed(identity, Permission.USERS_MANAGE)
        if found is None or not (manages or _is_own(identity, found.username)):
            raise NotFound(_NO_SUCH)
        event = self._audit.event(
            "sessions:end", f"/sessions/{found.id}", detail=f"of '{found.username}'"
        )
        if not self._store.end(found.id, event):
            raise NotFound(_NO_SUCH)
        self._directory.expire()
        self._audit.tell(event)

    def end_all(self, identity: Identity, username: str, *, keep_current: bool = False) -> int:
        """End the sessions of somebody, wherever they are; they are worth nothing any more.

        Args:
            identity: Who asks.
            username: Whose.
            keep_current: The one by which it is asked for goes on.

        Returns:
            How many were ended.

        Raises:
            NotAllowed: They are of somebody else, and who asks does not manage users.
            StoreUnavailable: Nobody knows.
        """
        if not _is_own(identity, username):
            require(identity, Permission.USERS_MANAGE)
        asked_with = identity.credential
        is_kept = keep_current and asked_with.authenticator == SESSION
        kept = asked_with.id if is_kept else None
        detail = f"all of '{username}'" + (f" but {kept}" if kept else "")
        event = self._audit.event("sessions:end", "/sessions", detail=detail)
        idle = timedelta(seconds=self._settings.idle)
        ended = self._store.end_all(username, kept, idle, event)
        if ended:
            self._directory.expire()
            self._audit.tell(event)
        return ended

    def _holds(self, session: StoredSession) -> bool:
        """Whether a session still stands for who has begun it."""
        try:
            self._authenticators.recheck(_of_session(session.username, session.id))
        except NotAuthenticated:
            return False
        except StoreUnavailable:
            raise
        except UpstreamError:
            # Who has issued what it was begun with cannot say now, and it has not ended by that.
            return True
        return True

    def _elsewhere(self) -> BrowserSignIn:
        browser = self._authenticators.browser
        if browser is None:
            text = "Browsers cannot sign in elsewhere: 'api.auth.type' does not name 'oidc'."
            raise Conflict(text)
        return browser


def _of_session(username: str, id_: str) -> Identity:
    return Identity(username, frozenset(), credential=Credential(SESSION, id_))


def _is_own(identity: Identity, username: str) -> bool:
    """Whether sessions of a user are one's own; whoever shares a name has none."""
    return not identity.shared and identity.username == username


def _shown(session: StoredSession, identity: Identity) -> Shown:
    asked_with = identity.credential
    return Shown(
        id=session.id,
        username=session.username,
        begun_with=read_identity(session.identity).credential.authenticator,
        address=session.address,
        user_agent=session.user_agent,
        created_at=session.created_at,
        last_used_at=session.last_used_at,
        expires_at=session.expires_at,
        current=asked_with.authenticator == SESSION and asked_with.id == session.id,
    )


def _plain(text: str | None) -> str:
    """Return a text that somebody sent, fit to be kept and shown."""
    return "".join(c for c in text or "" if c.isprintable())[:_LONGEST_AGENT]

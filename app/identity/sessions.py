"""Sessions: a browser that has signed in, one way or another, and holds a cookie since."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, Self

from app.domain import Credential, Identity
from app.errors import CredentialEnded, NotAuthenticated
from app.identity.last_uses import LastUses
from app.identity.port import (
    API_KEY_FIELD,
    Authenticator,
    Challenge,
    Claim,
    Context,
    RequestView,
)
from app.identity.session_directory import ENDED, SessionDirectory
from app.identity.users import UserDirectory
from app.identity.written import read_identity
from app.store.sessions import Sessions, StoredSession

COOKIE: Final = "slipway_session"
"""Name of the cookie that holds the key of a session."""
SESSION: Final = "session"
"""Name of this way to sign in, which credentials carry."""


def csrf_token(key: str) -> str:
    """Return what a page must send with each change that it asks for in a session.

    It follows from the key, which no page can read, and the key does not follow from it. A page of
    somebody else can make a browser send the cookie, and cannot get this.
    """
    return hmac.digest(key.encode(errors="replace"), b"csrf token", hashlib.sha256).hex()


def epoch_of(users: UserDirectory, username: str) -> str:
    """Return what a session notes of its user, and what ends it when it changes.

    Whoever is not known here, but to an identity provider, is noted as such.
    """
    user = users.find(username)
    return "" if user is None else user.epoch


class SessionAuthenticator(Authenticator):
    """Takes the cookie of a session, where a request has no other credential.

    A session stands for the credential that it was begun with, which is asked about again: it ends
    with the API key or the password. It ends, too, whenever what was issued to its user before is
    worth nothing.

    Args:
        directory: The sessions.
        users: Who is shut out.
        uses: Hears of each use.
        others: The ways to sign in by which sessions are begun, by name.
    """

    name = SESSION
    needs = "a session"
    unguessable = True
    offered = False

    def __init__(
        self,
        directory: SessionDirectory,
        users: UserDirectory,
        uses: LastUses,
        others: Mapping[str, Authenticator],
    ) -> None:
        self._directory = directory
        self._users = users
        self._uses = uses
        self._others = others

    @classmethod
    def create(cls, options: Any, context: Context) -> Self:
        """Build one.

        Args:
            options: The other ways to sign in, by name.
            context: What there is.
        """
        uses = LastUses(Sessions(context.database).used)
        return cls(context.sessions, context.users, uses, options)

    def claim(self, request: RequestView) -> Claim | None:
        """Read the cookie; whatever else a request carries is meant by its sender, and wins."""
        fields = (request.header("Authorization"), request.header(API_KEY_FIELD))
        if any(fields) or request.query_keys:
            return None
        key = request.cookie(COOKIE)
        return Claim("", key, known=False) if key else None

    def verify(self, claim: Claim) -> Identity:
        """Return whose session it is.

        Raises:
            NotAuthenticated: There is none, or it has ended.
        """
        session = self._directory.with_key(claim.secret or "")
        identity = self._users.anew(partial(self._identity, session))
        self._uses.note(session.id, session.last_used_at)
        return identity

    def recheck(self, identity: Identity) -> Identity:
        """Return who somebody is by now whose session it is.

        Raises:
            NotAuthenticated: It has ended.
        """
        session = self._directory.with_id(identity.credential.id)
        return self._users.anew(partial(self._identity, session))

    def challenge(self, refused: NotAuthenticated | None) -> Challenge | None:
        """Return nothing: HTTP knows no challenge for cookies."""
        return None

    def _identity(self, session: StoredSession) -> Identity:
        is_out = self._users.is_shut_out(session.username)
        if is_out or session.epoch != epoch_of(self._users, session.username):
            raise CredentialEnded(ENDED)
        begun = read_identity(session.identity)
        other = self._others.get(begun.credential.authenticator)
        if other is None:
            raise CredentialEnded(ENDED)
        try:
            by_now = other.recheck(begun)
        except NotAuthenticated as exc:
            raise CredentialEnded(ENDED) from exc
        credential = Credential(SESSION, session.id, session.expires_at, begun.credential)
        return replace(by_now, credential=credential)

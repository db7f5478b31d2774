"""The sessions of browsers, as each request needs them."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from app.errors import CredentialEnded, NotAuthenticated
from app.identity.numbered import NumberedReads
from app.store.execution_rows import now
from app.store.sessions import Sessions, StoredSession

ENDED: Final = "The session has ended; sign in again."
_BEGINNING: Final = "sls_"
_FORM: Final = re.compile(r"sls_[0-9A-Za-z_-]{43}")
_BYTES: Final = 32


def make_session_key() -> str:
    """Make what the browser holds of a session: 256 bits of chance."""
    return _BEGINNING + secrets.token_urlsafe(_BYTES)


def digest_of(key: str) -> str:
    """Return what the store holds of it: SHA-256, in hexadecimal digits."""
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


class SessionDirectory:
    """Finds sessions by what the browser holds or by id, without asking the store each time.

    A session that another process has ended is known to have within a quarter of a second.

    Args:
        store: The sessions.
        idle_seconds: After so long without use a session ends.
    """

    def __init__(self, store: Sessions, idle_seconds: float) -> None:
        self._idle = timedelta(seconds=idle_seconds)
        self._by_digest = NumberedReads(store.revision, _reader(store.by_digest))
        self._by_id = NumberedReads(store.revision, _reader(store.by_id))

    def with_key(self, key: str) -> StoredSession:
        """Return the session of which a browser holds the key.

        Raises:
            NotAuthenticated: There is none, or it has ended.
            StoreUnavailable: Nobody knows.
        """
        if not _FORM.fullmatch(key):
            raise NotAuthenticated(ENDED)
        return self._unended(self._by_digest, digest_of(key))

    def with_id(self, id_: str) -> StoredSession:
        """Return the session of an id; see :meth:`with_key`."""
        return self._unended(self._by_id, id_)

    def expire(self) -> None:
        """Forget what is remembered, because this process has changed something."""
        self._by_digest.expire()
        self._by_id.expire()

    def _unended(self, reads: NumberedReads[str, StoredSession], name: str) -> StoredSession:
        found = reads.get(name)
        if self._is_idle(found):
            # What is remembered does not tell how often it was used since.
            found = reads.refresh(name)
        if self._is_idle(found) or found.expires_at <= now():
            raise CredentialEnded(ENDED)
        return found

    def _is_idle(self, session: StoredSession) -> bool:
        return session.last_used_at + self._idle <= now()


def _reader(find: Callable[[str], StoredSession | None]) -> Callable[[str], StoredSession]:
    def read(name: str) -> StoredSession:
        found = find(name)
        if found is None:
            # Not remembered: there is no end of wrong ones. And not counted as wrong: nobody
            # guesses any, and a browser goes on sending that of a session which has ended.
            raise CredentialEnded(ENDED)
        return found

    return read

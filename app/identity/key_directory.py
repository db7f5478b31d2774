"""The API keys of users, as each request needs them."""

from __future__ import annotations

from collections.abc import Callable

from app.errors import CredentialEnded, NotAuthenticated
from app.identity.numbered import NumberedReads
from app.store.api_keys import ApiKey, ApiKeys

WRONG = "The API key is wrong."


class ApiKeyDirectory:
    """Finds API keys by their digest or id, without asking the store each time.

    A change by another process is known within a quarter of a second.

    Args:
        store: The keys.
    """

    def __init__(self, store: ApiKeys) -> None:
        self._by_digest = NumberedReads(store.revision, _reader(store.by_digest))
        self._by_id = NumberedReads(store.revision, _reader(store.by_id))

    def with_digest(self, digest: str) -> ApiKey:
        """Return the key of a digest.

        Raises:
            NotAuthenticated: There is none, or it was revoked.
            StoreUnavailable: Nobody knows.
        """
        return _unrevoked(self._by_digest.get(digest))

    def with_id(self, id_: str) -> ApiKey:
        """Return the key of an id; see :meth:`with_digest`."""
        return _unrevoked(self._by_id.get(id_))

    def expire(self) -> None:
        """Forget what is remembered, because this process has changed something."""
        self._by_digest.expire()
        self._by_id.expire()


def _reader(find: Callable[[str], ApiKey | None]) -> Callable[[str], ApiKey]:
    def read(name: str) -> ApiKey:
        found = find(name)
        if found is None:
            raise NotAuthenticated(WRONG)  # not remembered: there is no end of wrong keys
        return found

    return read


def _unrevoked(key: ApiKey) -> ApiKey:
    if key.revoked_at is not None:
        raise CredentialEnded("The API key was revoked.")
    return key

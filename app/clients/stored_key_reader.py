"""Reading the private keys of pairs that are on record here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from app.clients._ssh_terms import SshCredential
from app.errors import UpstreamRefused
from app.store.keys import SshKeys


class PrivateKeys(Protocol):
    """Where the private halves are."""

    def get(self, key_id: str) -> SshCredential:
        """Read one.

        Raises:
            UpstreamRefused: There is none.
            UpstreamError: It cannot be read now.
        """

    def remove(self, key_id: str) -> None:
        """Remove one; idempotent.

        Raises:
            UpstreamError: It may still be there.
        """

    def close(self) -> None:
        """End what goes on in the background."""


class StoredKeyReader:
    """Reads key pairs; see :class:`app.clients.key_reader.KeyReader`.

    Args:
        keys: The public records.
        open_: Makes what reads the private halves, when the first one is read.
    """

    def __init__(self, keys: SshKeys, open_: Callable[[], PrivateKeys]) -> None:
        self._keys = keys
        self._open = open_
        self._lock = threading.Lock()
        self._private: PrivateKeys | None = None

    def newest_for(self, owner: str, cluster: str) -> str | None:
        """Return the id of a user's newest pair whose metadata name a cluster; None without."""
        own = self._keys.of(owner)
        return next((key.id for key in own if key.metadata.get("cluster") == cluster), None)

    def read(self, key_id: str) -> SshCredential:
        """Read the private half of a pair.

        Raises:
            UpstreamRefused: There is none.
            UpstreamError: It cannot be read now.
        """
        if not self._keys.is_known(key_id):
            raise UpstreamRefused("There is no such SSH key: it was revoked, or its id is wrong.")
        return self.private.get(key_id)

    @property
    def private(self) -> PrivateKeys:
        """What reads the private halves."""
        with self._lock:
            if self._private is None:
                self._private = self._open()
            return self._private

    def close(self) -> None:
        """End what goes on in the background."""
        with self._lock:
            if self._private is not None:
                self._private.close()
                self._private = None

"""Reading the private keys of pairs that are on record here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import structlog

from app.clients._ssh_terms import SshCredential
from app.clients.key_store import shown
from app.errors import StoreUnavailable, UpstreamRefused
from app.store.execution_rows import now
from app.store.keys import NOTED_EVERY, SshKeys

log = structlog.get_logger(__name__)


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
        self._noted: dict[tuple[str, bool], datetime] = {}

    def newest_for(self, owner: str, cluster: str) -> str | None:
        """Return the id of a user's newest pair whose metadata name a cluster; None without."""
        own = (key for key in self._keys.of(owner) if key.replaces is None)
        return next((key.id for key in own if key.metadata.get("cluster") == cluster), None)

    def read(self, key_id: str) -> SshCredential:
        """Read the private half of a pair.

        Raises:
            UpstreamRefused: There is none.
            UpstreamError: It cannot be read now.
        """
        current = self._keys.current(key_id)
        if current is None:
            raise UpstreamRefused("There is no such SSH key: it was revoked, or its id is wrong.")
        self._note(current, succeeded=False)
        return self.private.get(current)

    def succeeded(self, key_id: str) -> None:
        """Note that a key has logged in."""
        current = self._keys.current(key_id)
        if current is not None:
            self._note(current, succeeded=True)

    def _note(self, key_id: str, *, succeeded: bool) -> None:
        """Write down a use, unless another one of the same minute was."""
        moment, event = now(), (key_id, succeeded)
        with self._lock:
            if moment - self._noted.get(event, moment - NOTED_EVERY) < NOTED_EVERY:
                return
            self._noted[event] = moment
        try:
            self._keys.used(key_id, moment, succeeded=succeeded)
        except StoreUnavailable:  # a login does not depend on it
            log.warning("use of an SSH key not noted", key=shown(key_id))

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

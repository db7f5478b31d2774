"""Who was verified by which credential, and need not be verified again for a while."""

from __future__ import annotations

import time
from typing import Final

from app.caching import LruCache
from app.domain import Identity

_MOST_BYTES: Final = 8 * 1024 * 1024
"""Some 10,000 identities."""
_EACH_BYTES: Final = 750
"""About what an identity takes by itself: roles and permissions are the same objects for all."""


class Verified:
    """Identities by the digests of their credentials; who was not seen for longest makes room."""

    def __init__(self) -> None:
        self._kept: LruCache[bytes, tuple[float, Identity]]
        self._kept = LruCache(_MOST_BYTES, lambda _: _EACH_BYTES)

    def get(self, digest: bytes) -> Identity | None:
        """Return who was verified by a credential; None where that must be done now."""
        until, identity = self._kept.get(digest) or (0.0, None)
        return identity if until > time.monotonic() else None

    def put(self, digest: bytes, identity: Identity, seconds: float) -> None:
        """Note who was verified, for so long."""
        self._kept.put(digest, (time.monotonic() + seconds, identity))

    def drop(self, digest: bytes) -> None:
        """Forget who was verified by a credential."""
        self._kept.drop(digest)

"""Asking once for many: calls that are under way are shared, and answers are kept for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from app.caching import LruCache, SingleFlight
from app.errors import UpstreamError

log = structlog.get_logger(__name__)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Cached(Generic[V]):
    """An answer that was kept.

    Attributes:
        refresh_at: When to ask again, on the cache's clock.
        stale: The last attempt to ask again failed.
    """

    value: V
    refresh_at: float
    stale: bool = False


class TtlCache(Generic[K, V]):
    """Keeps answers of an upstream, and goes on serving them while it is down.

    Args:
        ttl_seconds: How long an answer is good for.
        max_bytes: Most bytes of all answers; what was not asked for longest makes room.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        ttl_seconds: float,
        *,
        max_bytes: int = 16 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._entries: LruCache[K, Cached[V]] = LruCache(max_bytes)
        self._flights: SingleFlight[K, Cached[V]] = SingleFlight()

    def get(self, key: K, load: Callable[[], V]) -> Cached[V]:
        """Give the answer for a key, asking for it where that is due.

        While one thread asks again, the others get the old answer at once.

        Raises:
            UpstreamError: Asking failed, and there is no old answer.
        """
        entry = self._entries.get(key)
        if entry is not None and (self._clock() < entry.refresh_at or self._flights.busy(key)):
            return entry
        return self._flights.do(key, lambda: self._refresh(key, load))

    def peek(self, key: K) -> V | None:
        """Give the last answer, however old."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def _refresh(self, key: K, load: Callable[[], V]) -> Cached[V]:
        old = self._entries.get(key)
        now = self._clock()
        if old is not None and now < old.refresh_at:  # another thread has just been here
            return old
        try:
            entry = Cached(load(), self._clock() + self._ttl_seconds)
        except UpstreamError as exc:
            if old is None:
                raise
            log.warning("old answer served", key=str(key), error=exc.message, detail=exc.detail)
            entry = Cached(old.value, now + _RETRY_SECONDS, stale=True)
        self._entries.put(key, entry)
        return entry

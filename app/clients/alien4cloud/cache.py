"""Asking once for many: calls that are under way are shared, and answers are kept for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from app.errors import UpstreamError

log = structlog.get_logger(__name__)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_RETRY_SECONDS = 5.0


class SingleFlight(Generic[K, V]):
    """Makes a call once for all threads that want it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[K, Future[V]] = {}

    def busy(self, key: K) -> bool:
        """Tell whether the call for a key is under way."""
        return key in self._running

    def do(self, key: K, function: Callable[[], V]) -> V:
        """Call the function, or wait for the call with the same key that is under way.

        Raises:
            Exception: Whatever the call raised, in every thread that shares it.
        """
        while True:
            with self._lock:
                running = self._running.get(key)
                if running is None:
                    mine = self._running[key] = Future()
            if running is None:
                return self._lead(key, mine, function)
            try:
                return running.result()
            except CancelledError:  # its thread was interrupted, which is not our failure
                continue

    def _lead(self, key: K, mine: Future[V], function: Callable[[], V]) -> V:
        try:
            result = function()
        except BaseException as exc:
            self._forget(key)
            if isinstance(exc, Exception):
                mine.set_exception(exc)
            else:
                mine.cancel()
            raise
        self._forget(key)
        mine.set_result(result)
        return result

    def _forget(self, key: K) -> None:
        with self._lock:
            del self._running[key]


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
        max_entries: Most answers to keep; the oldest makes room.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        ttl_seconds: float,
        *,
        max_entries: int = 256,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl_seconds = ttl_seconds
        self._max_entries = max_entries
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[K, Cached[V]] = {}
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
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = entry
            while len(self._entries) > self._max_entries:
                del self._entries[next(iter(self._entries))]
        return entry

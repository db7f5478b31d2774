"""Reads of the store that each request needs, remembered until somebody changes something."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

_LOOK_SECONDS: Final = 0.25
"""How late a change made by another process may be seen."""
_MOST_REMEMBERED: Final = 10_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class NumberedReads(Generic[K, V]):
    """Remembers what was read, while the number of the last change stays the same.

    A change by another process is known within a quarter of a second: then the number is read, and
    where that is another one, all that is remembered is forgotten.

    Args:
        revision: Reads the number of the last change.
        read: Reads the value of a key. What it raises is raised, and not remembered.
    """

    def __init__(self, revision: Callable[[], int], read: Callable[[K], V]) -> None:
        self._read_revision = revision
        self._read = read
        self._lock = threading.Lock()
        self._remembered: OrderedDict[K, V] = OrderedDict()
        self._revision = -1
        self._look_at = 0.0
        self._expired = 0

    def get(self, key: K) -> V:
        """Return the value of a key, as it was a moment ago."""
        revision = self._current()
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        found = self._read(key)
        with self._lock:
            if self._revision == revision:
                self._remembered[key] = found
                while len(self._remembered) > _MOST_REMEMBERED:
                    self._remembered.popitem(last=False)
        return found

    def refresh(self, key: K) -> V:
        """Return the value of a key as it is now, and remember that."""
        with self._lock:
            self._remembered.pop(key, None)
        return self.get(key)

    def look(self) -> None:
        """Look for a change by another process with the next value that is asked for."""
        with self._lock:
            self._look_at = 0.0

    def expire(self) -> None:
        """Forget what is remembered, because this process has changed something."""
        with self._lock:
            self._expired += 1
            self._look_at = 0.0

    def _current(self) -> int:
        """Return the number of the last change, as it was a moment ago."""
        with self._lock:
            if time.monotonic() < self._look_at:
                return self._revision
            expired = self._expired
        looked_at = time.monotonic()
        revision = self._read_revision()
        with self._lock:
            if revision != self._revision:
                self._remembered.clear()
                self._revision = revision
            if self._expired == expired:
                self._look_at = looked_at + _LOOK_SECONDS
            return revision

"""What was read from the store and is still true."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from app.caching import LruCache
from app.store.database import Database

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_KEPT_BYTES = 16 * 1024 * 1024


class Memo(Generic[K, V]):
    """Reads what was read before again only when anything was written to the database since.

    Reading a row takes several times as long as asking SQLite whether anything changed. PostgreSQL
    cannot be asked that for less than the row itself, so there every value is read.

    Args:
        database: The store.
        read: Reads one value; what it raises is raised by :meth:`get`.
    """

    def __init__(self, database: Database, read: Callable[[K], V]) -> None:
        self._database = database
        self._read = read
        self._version: int | None = None
        self._kept: LruCache[K, V] = LruCache(_KEPT_BYTES)

    def get(self, key: K) -> V:
        """Give a value as it is in the store now."""
        version = self._database.version()
        if version is None:
            return self._read(key)
        if version != self._version:
            self._version, self._kept = version, LruCache(_KEPT_BYTES)
        kept = self._kept
        found = kept.get(key)
        if found is None:
            # Read after the version was asked for: it is at least as new, never older.
            found = self._read(key)
            kept.put(key, found)
        return found

"""Stretches of logs in the form in which they are sent, written once for all who get them."""

from __future__ import annotations

from collections.abc import Callable

from app.caching import LruCache
from app.memory import WRITTEN_STRETCHES_BYTES
from app.services.stretches import Stretch
from app.services.turns import Turn

Write = Callable[[Stretch], bytes]

_ALIVE = 3
"""What is written keeps alive what it was written from, which is about twice as large."""


class Written:
    """Keeps what was written last, as much as fits into a bounded memory.

    Args:
        most_bytes: How much that is.
    """

    def __init__(self, most_bytes: int = WRITTEN_STRETCHES_BYTES) -> None:
        self._kept: LruCache[tuple[Write, Stretch], bytes] = LruCache(
            most_bytes, lambda document: _ALIVE * len(document)
        )

    def get(self, write: Write, stretch: Stretch, turn: Turn) -> bytes:
        """Return a stretch in some form.

        Args:
            write: Writes the form.
            stretch: What to write.
            turn: Taken if it has to be written.
        """
        key = write, stretch
        found = self._kept.get(key)
        if found is None:
            with turn():
                found = self._kept.get(key)  # another one may have had their turn before
                if found is None:
                    found = write(stretch)
                    self._kept.put(key, found)
        return found


written = Written().get

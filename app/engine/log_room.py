"""How much is kept of what the commands of an execution print."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from app.caching import LruCache
from app.domain import NewLogEntry
from app.log_lines import log_line_bytes

_ASK_SECONDS = 30.0
"""How old what is known of all logs of a user may be; what is kept here meanwhile is counted."""
_KEPT_USERS = 10_000
_USER_BYTES = 1
"""What one user counts in a cache that is bounded by their number."""


class LogRoom:
    """The limits of logs: of a task and of an execution, and of all executions of a user.

    Args:
        most_bytes: For each task and for each execution; None for no limit.
        most_user_bytes: For each user; None for no limit.
        used: Returns the bytes of all logs of a user.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        most_bytes: int | None = None,
        most_user_bytes: int | None = None,
        used: Callable[[str], int] = lambda _: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most_bytes = most_bytes
        self._most_user_bytes = most_user_bytes
        self._used = used
        self._clock = clock
        self._lock = threading.Lock()
        self._known: LruCache[str, tuple[float, int]] = LruCache(_KEPT_USERS, lambda _: _USER_BYTES)

    def full(self, owner: str, kept: int) -> str | None:
        """Return which limit is reached; None while there is room.

        Args:
            owner: The user.
            kept: Bytes that are kept of the execution.
        """
        if self.most_bytes is not None and kept >= self.most_bytes:
            return f"{self.most_bytes} bytes of one execution"
        if self._most_user_bytes is not None and self._of(owner) >= self._most_user_bytes:
            return f"{self._most_user_bytes} bytes of all logs of '{owner}'"
        return None

    def note(self, owner: str, entries: Iterable[NewLogEntry]) -> None:
        """Count what is kept of a user's logs from now on, as the store counts it.

        Args:
            owner: The user.
            entries: What is kept.
        """
        if self._most_user_bytes is None:
            return
        size = sum(log_line_bytes(e.level, e.task, e.content) for e in entries)
        with self._lock:
            if (known := self._known.get(owner)) is not None:
                self._known.put(owner, (known[0], known[1] + size))

    def _of(self, owner: str) -> int:
        moment, known = self._clock(), self._known.get(owner)
        if known is None or moment - known[0] >= _ASK_SECONDS:
            known = moment, self._used(owner)
            with self._lock:
                self._known.put(owner, known)
        return known[1]

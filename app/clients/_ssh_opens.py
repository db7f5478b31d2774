"""How often connections are begun: a site that sees too many takes them for an attack."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from app.clients._ssh_terms import SshTarget
from app.errors import UpstreamUnreachable

_WINDOW_SECONDS = 60.0
"""Within which so many connections may be opened."""


class Opens:
    """Counts what was begun to each server.

    Args:
        per_minute: Most of it within a minute.
        clock: Seconds that never run backwards.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._begun: dict[tuple[str, int], deque[float]] = {}

    def take(self, target: SshTarget) -> None:
        """Count one more.

        Raises:
            UpstreamUnreachable: There were too many; it says when it is possible again.
        """
        now = self._clock()
        with self._lock:
            begun = self._begun.setdefault((target.host.lower(), target.port), deque())
            while begun and begun[0] <= now - _WINDOW_SECONDS:
                begun.popleft()
            if len(begun) < self._per_minute:
                begun.append(now)
                return
            wait = begun[0] + _WINDOW_SECONDS - now
        raise UpstreamUnreachable(
            f"{self._per_minute} connections to {target.address} were begun within a minute; the "
            f"next one is in {wait:.0f} s. Was one of them refused, or do they end at once?",
            retry_after_seconds=wait,
        )

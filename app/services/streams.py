"""How many streams may be open, and how many are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from app.domain import Identity
from app.errors import LimitExceeded
from app.observability import Metrics
from app.services.users import EVERYBODY
from app.settings import StreamSettings

_RETRY_SECONDS = 10.0


class StreamLimits:
    """Counts the streams of this process.

    Args:
        settings: The limits.
        metrics: Where the numbers are shown.
    """

    def __init__(self, settings: StreamSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._lock = Lock()
        self._open: Counter[str] = Counter()

    @contextmanager
    def stream(self, identity: Identity, transport: str) -> Iterator[None]:
        """Hold a place for one stream.

        Raises:
            LimitExceeded: There is none.
        """
        with self._lock:
            self.check(identity)
            self._open[identity.username] += 1
        self._metrics.streams_opened.labels(transport).inc()
        self._metrics.streams_open.labels(transport).inc()
        try:
            yield
        finally:
            with self._lock:
                self._open[identity.username] -= 1
                self._open += Counter()  # drops those who have none left
            self._metrics.streams_open.labels(transport).dec()

    def check(self, identity: Identity) -> None:
        """Make sure that there is a place.

        Raises:
            LimitExceeded: There is none.
        """
        limit = self._settings.max_per_user
        if identity is not EVERYBODY and self._open[identity.username] >= limit:
            raise LimitExceeded(
                f"You have {limit} streams open, which is the most for one user.",
                retry_after_seconds=_RETRY_SECONDS,
            )
        if self._open.total() >= self._settings.max_total:
            raise LimitExceeded(
                "The service has as many streams open as it can.",
                retry_after_seconds=_RETRY_SECONDS,
            )

"""How many requests may be held at the same time, and how many are.

A held request is one that is answered later (a long poll), or for long (a stream, a download). Each
takes a connection, and with it one of the descriptors that the process has, so each holds a place.
"""

from __future__ import annotations

import resource
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.domain import Identity, Role
from app.errors import LimitExceeded, QuotaExceeded
from app.settings import StreamSettings

if TYPE_CHECKING:
    from app.metrics import Metrics

SPARE_DESCRIPTORS = 256
"""Descriptors that are not given to held requests: for short ones, the store, and the upstreams."""

_RETRY_SECONDS = 10.0
"""When whoever found no place may come back: streams last, but some end."""


class Places:
    """Counts the held requests of this process.

    There are never more places than the descriptors that the process may open, less some for what
    is answered at once; and one user gets half of them at the most.

    Args:
        settings: The limits.
        metrics: Where the numbers are shown.
        descriptors: How many files the process may have open; what the system says by default.
        most_of: Most places of a user of some roles; the same for all by default.
    """

    def __init__(
        self,
        settings: StreamSettings,
        metrics: Metrics,
        descriptors: int | None = None,
        most_of: Callable[[frozenset[Role]], int] | None = None,
    ) -> None:
        if descriptors is None:
            descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = min(settings.max_total, places_within(descriptors))
        self._half = (self._most + 1) // 2
        self._most_of = most_of or (lambda _: settings.max_per_user)
        self._metrics = metrics
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    @contextmanager
    def place(self, identity: Identity, kind: str) -> Iterator[None]:
        """Hold a place for one request.

        Args:
            identity: Whose it is.
            kind: What it waits for, as the metrics call it.

        Raises:
            LimitExceeded: There is none.
        """
        held = self._metrics.held.labels(kind)
        with self._lock:
            self.check(identity)
            self._open[identity.username] += 1
        held.inc()
        try:
            yield
        finally:
            with self._lock:
                self._open[identity.username] -= 1
                if not self._open[identity.username]:
                    del self._open[identity.username]
            held.dec()

    @contextmanager
    def stream(self, identity: Identity, transport: str) -> Iterator[None]:
        """Hold a place for a stream.

        Raises:
            LimitExceeded: There is none.
        """
        with self.place(identity, "stream"), self._metrics.stream(transport):
            yield

    def check(self, identity: Identity) -> None:
        """Check that there is a place.

        Raises:
            LimitExceeded: There is none.
        """
        limit = min(self._most_of(identity.roles), self._half)
        if not identity.shared and self._open[identity.username] >= limit:
            raise QuotaExceeded(
                f"You have {limit} streams or long polls open, which is the most for one user.",
                ("followers",),
                retry_after_seconds=_RETRY_SECONDS,
            )
        if self._open.total() >= self._most:
            raise LimitExceeded(
                "The service has as many streams and long polls open as it can.",
                retry_after_seconds=_RETRY_SECONDS,
            )


def places_within(descriptors: int) -> int:
    """Return how many requests can be held where so many files may be open."""
    if descriptors == resource.RLIM_INFINITY:
        return 1_000_000
    return descriptors - min(SPARE_DESCRIPTORS, (descriptors + 1) // 2)

"""What the web processes count, for Prometheus.

Where a folder is shared (``PROMETHEUS_MULTIPROC_DIR``), each process adds up what all of them write
there: https://prometheus.github.io/client_python/multiprocess/.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPMethod
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from app.pulse import Pulse

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which processes share what they count."""

_METHODS = frozenset(HTTPMethod)
_OTHER_METHOD = "OTHER"
"""Stands for what no standard knows, so that no client makes up a series."""


class Metrics:
    """The numbers of one process, or of all that share a folder.

    Attributes:
        counted: For what is counted here.
        registry: For what is read elsewhere when somebody asks, and is the same in every process.
        pulse: What this process counts within the current minute.
    """

    def __init__(self) -> None:
        self._shared = os.environ.get(_FOLDER_VARIABLE)
        if self._shared is not None:
            values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
        self.counted = CollectorRegistry()
        self.registry = CollectorRegistry()
        self.pulse = Pulse()
        self._followed: list[tuple[Gauge, Callable[[], float]]] = []
        self.requests = Counter(
            "slipway_requests_total", "Requests answered.", ["method", "status"],
            registry=self.counted,
        )  # fmt: skip
        self._requests_by: dict[tuple[str, int], Counter] = {}
        self.held = Gauge(
            "slipway_held_requests",
            "Requests that hold a place.",
            ["kind"],
            registry=self.counted,
            multiprocess_mode="livesum",
        )
        self.streams_open = Gauge(
            "slipway_streams_open", "Streams open now.", ["transport"],
            registry=self.counted, multiprocess_mode="livesum",
        )  # fmt: skip
        self.streams_opened = Counter(
            "slipway_streams_opened_total", "Streams opened.", ["transport"],
            registry=self.counted,
        )  # fmt: skip
        self.delivery_lag = Histogram(
            "slipway_delivery_lag_seconds",
            "Time from the writing of a log entry to its delivery to a follower.",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.counted,
        )
        self.loop_lag = Gauge(
            "slipway_loop_lag_seconds", "How late the event loop runs what is due.",
            registry=self.counted, multiprocess_mode="livemax",
        )  # fmt: skip
        self.key_store_token = Gauge(
            "slipway_key_store_token_seconds", "How long the key store's token is good for.",
            registry=self.counted, multiprocess_mode="livemin",
        )  # fmt: skip
        self.waiting = Gauge(
            "slipway_waiting_readers",
            "Readers that wait for a change.",
            registry=self.counted,
            multiprocess_mode="livesum",
        )

        self.limits_usable = Gauge(
            "slipway_limits_usable", "Whether requests can be counted; if not, there is no limit.",
            registry=self.counted, multiprocess_mode="livemin",
        )  # fmt: skip
        self.limits_changes = Counter(
            "slipway_limits_changes_total", "How often that has changed.", registry=self.counted
        )
        self.limited = Counter(
            "slipway_limited_requests_total", "Requests that were refused.", ["policy"],
            registry=self.counted,
        )  # fmt: skip
        self.limits_usable.set(1)

    def tell_limits_usable(self, usable: bool) -> None:
        """Note whether requests can be counted from now on."""
        self.limits_usable.set(usable)
        self.limits_changes.inc()

    def count_request(self, method: str, status: int) -> None:
        """Count an answered request, those of all methods that HTTP does not have together."""
        method = method if method in _METHODS else _OTHER_METHOD
        counter = self._requests_by.get((method, status))
        if counter is None:  # looking one up by its labels takes longer than counting
            counter = self._requests_by[method, status] = self.requests.labels(method, status)
        counter.inc()
        self.pulse.answered(status)

    def count_delivery(self, seconds: float) -> None:
        """Count a delivery to a follower, so long after it was written."""
        self.delivery_lag.observe(seconds)
        self.pulse.delivered(seconds)

    def tell_loop_lag(self, seconds: float) -> None:
        """Note how late the event loop runs what is due."""
        self.loop_lag.set(seconds)
        self.pulse.ran_late(seconds)

    @contextmanager
    def stream(self, transport: str) -> Iterator[None]:
        """Count a stream while it is open."""
        self.streams_opened.labels(transport).inc()
        self.streams_open.labels(transport).inc()
        self.pulse.opened()
        try:
            yield
        finally:
            self.pulse.closed()
            self.streams_open.labels(transport).dec()

    def follow(self, gauge: Gauge, read: Callable[[], float]) -> None:
        """Have a gauge show what a function returns, as of the last :meth:`refresh`."""
        self._followed.append((gauge, read))

    def refresh(self) -> None:
        """Bring what is followed up to date; others see of this process what it showed last."""
        for gauge, read in self._followed:
            gauge.set(read())

    def text(self) -> bytes:
        """Write all numbers in Prometheus' text format."""
        self.refresh()
        found = self.counted
        if self._shared is not None:
            _forget_the_dead(Path(self._shared))
            found = CollectorRegistry()
            MultiProcessCollector(found, path=self._shared)  # type: ignore[no-untyped-call]
        return generate_latest(found) + generate_latest(self.registry)


def _forget_the_dead(folder: Path) -> None:
    """Leave out how it stands with processes that have ended; what they counted stays."""
    for file in folder.glob("gauge_live*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]

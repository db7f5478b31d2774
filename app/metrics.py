"""What a web process counts, for Prometheus."""

from __future__ import annotations

from http import HTTPMethod

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_METHODS = frozenset(HTTPMethod)
_OTHER_METHOD = "OTHER"
"""Stands for what no standard knows, so that no client makes up a series."""


class Metrics:
    """The numbers of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "slipway_requests_total", "Requests answered.", ["method", "status"],
            registry=self.registry,
        )  # fmt: skip
        self._requests_by: dict[tuple[str, int], Counter] = {}
        self.held = Gauge(
            "slipway_held_requests", "Requests that hold a place.", ["kind"], registry=self.registry
        )
        self.streams_open = Gauge(
            "slipway_streams_open", "Streams open now.", ["transport"],
            registry=self.registry,
        )  # fmt: skip
        self.streams_opened = Counter(
            "slipway_streams_opened_total", "Streams opened.", ["transport"],
            registry=self.registry,
        )  # fmt: skip
        self.delivery_lag = Histogram(
            "slipway_delivery_lag_seconds",
            "Time from the writing of a log entry to its delivery to a follower.",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self.loop_lag = Gauge(
            "slipway_loop_lag_seconds", "How late the event loop runs what is due.",
            registry=self.registry,
        )  # fmt: skip
        self.key_store_token = Gauge(
            "slipway_key_store_token_seconds", "How long the key store's token is good for.",
            registry=self.registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "slipway_waiting_readers", "Readers that wait for a change.", registry=self.registry
        )

        self.limits_usable = Gauge(
            "slipway_limits_usable", "Whether requests can be counted; if not, there is no limit.",
            registry=self.registry,
        )  # fmt: skip
        self.limits_changes = Counter(
            "slipway_limits_changes_total", "How often that has changed.", registry=self.registry
        )
        self.limited = Counter(
            "slipway_limited_requests_total", "Requests that were refused.", ["policy"],
            registry=self.registry,
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

    def text(self) -> bytes:
        """Write all numbers in Prometheus' text format."""
        return generate_latest(self.registry)

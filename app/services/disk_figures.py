"""What takes up room on disks, for Prometheus, as conductors measured it last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily

from app.services.figures import StoredFigures
from app.store.disk import DiskUsage

_LABELS: Final = ("place", "what")


class DiskFigures(StoredFigures):
    """Reads the measurements when somebody asks for them; it measures nothing itself.

    Args:
        usage: The measurements in the store.
    """

    def __init__(self, usage: DiskUsage) -> None:
        self._usage = usage

    def read(self) -> Iterator[GaugeMetricFamily]:
        """Read the figures."""
        found = self._usage.all()
        size = GaugeMetricFamily(
            "slipway_disk_usage_bytes",
            "Room taken up on disks: of the database, and of the executions of each machine.",
            labels=_LABELS,
        )
        partial = GaugeMetricFamily(
            "slipway_disk_usage_partial",
            "Whether more is taken up, which was not counted in the time there is for it.",
            labels=_LABELS,
        )
        at = GaugeMetricFamily(
            "slipway_disk_usage_measured_timestamp_seconds",
            "When that was measured.",
            labels=_LABELS,
        )
        for usage in found:
            labels = (usage.place, usage.what)
            size.add_metric(labels, usage.size_bytes)
            partial.add_metric(labels, usage.is_partial)
            at.add_metric(labels, usage.measured_at.timestamp())
        yield from (size, partial, at)

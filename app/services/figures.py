"""Figures that are read from the store when Prometheus asks for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.errors import SlipwayError


class StoredFigures(Collector):
    """Figures that cannot be told while the store cannot be read; the others then are."""

    def describe(self) -> list[GaugeMetricFamily]:
        """Name nothing in advance: nothing is read while this is registered."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the figures; none while the store cannot be read."""
        try:
            found = [*self.read()]
        except SlipwayError:
            return
        yield from found

    @abstractmethod
    def read(self) -> Iterator[GaugeMetricFamily]:
        """Read the figures.

        Raises:
            SlipwayError: The store cannot be read.
        """

"""How the executions of the whole service stand, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily

from app.caching import UpstreamReads
from app.domain import ExecutionStatus
from app.services.figures import StoredFigures
from app.store.standings import ExecutionStandings, Standings

FIGURES_SECONDS: Final = 5.0
"""For how long the figures count: anybody may ask for them, and they are read from the store."""


class ExecutionFigures(StoredFigures):
    """Reads the figures from the store when somebody asks for them, once for all who do.

    Whichever process answers, they are those of all conductors.

    Args:
        standings: Reads them.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self, standings: ExecutionStandings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._standings = standings
        self._known: UpstreamReads[str, Standings] = UpstreamReads(FIGURES_SECONDS, clock=clock)

    def read(self) -> Iterator[GaugeMetricFamily]:
        """Read the figures."""
        found = self._known.get("all", self._standings.read).value
        states = GaugeMetricFamily("slipway_executions", "Executions by state.", labels=["state"])
        for status in ExecutionStatus:
            states.add_metric([str(status)], found.numbers.get(status, 0))
        yield states
        ages = GaugeMetricFamily(
            "slipway_oldest_poll_seconds",
            "How long ago the conductors looked last at the execution that has waited longest.",
            labels=["orchestrator"],
        )
        for orchestrator, seconds in found.oldest_poll_seconds.items():
            ages.add_metric([orchestrator], seconds)
        yield ages
        yield GaugeMetricFamily(
            "slipway_conductors", "Conductors that gave a sign of life lately.",
            value=found.conductors,
        )  # fmt: skip

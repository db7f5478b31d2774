"""Virtual users and nodes of the whole service, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client.core import GaugeMetricFamily

from app.clients.orchestrator import Capability, Orchestrator, meter, node_keeper
from app.domain import ExecutionFilter, ExecutionMetrics, ExecutionStatus, NodeState
from app.services.figures import StoredFigures
from app.store.executions import Executions

_RUNNING: Final = frozenset({ExecutionStatus.RUNNING, ExecutionStatus.PAUSED})
_MOST: Final = 1000
"""Executions of one orchestrator that are summed up."""
_SUMS: Final[Mapping[str, str]] = {
    "vus": "Virtual users now, of executions that have not ended.",
    "iterations": "Iterations so far, of executions that have not ended.",
    "requests": "Requests that virtual users have sent, of executions that have not ended.",
    "requests_failed": "Those of these requests that failed.",
}


class LoadFigures(StoredFigures):
    """Reads the figures when somebody asks for them.

    Args:
        orchestrators: The orchestrators by name.
        executions: The executions in the store.
    """

    def __init__(self, orchestrators: Mapping[str, Orchestrator], executions: Executions) -> None:
        self._meters = {
            name: meter(each)
            for name, each in orchestrators.items()
            if Capability.METRICS in each.capabilities
        }
        self._keepers = [
            node_keeper(each)
            for each in orchestrators.values()
            if {Capability.NODES, Capability.METRICS} <= each.capabilities
        ]
        self._executions = executions

    def read(self) -> Iterator[GaugeMetricFamily]:
        """Read the figures."""
        states = Counter(node.state for each in self._keepers for node in each.nodes())
        running = self._running()
        nodes = GaugeMetricFamily("slipway_nodes", "Nodes by state.", labels=["state"])
        for state in NodeState:
            nodes.add_metric([str(state)], states[state])
        yield nodes
        for name, text in _SUMS.items():
            total = sum(_figure(metrics, name) for metrics in running)
            yield GaugeMetricFamily(f"slipway_load_{name}", text, value=total)

    def _running(self) -> list[ExecutionMetrics]:
        found: list[ExecutionMetrics] = []
        for name, measuring in self._meters.items():
            wanted = ExecutionFilter(states=_RUNNING, orchestrator=name)
            executions, _ = self._executions.find(wanted, 0, _MOST)
            found += map(measuring.metrics, executions)
        return found


def _figure(metrics: ExecutionMetrics, name: str) -> int:
    value = getattr(metrics, name)
    return int(value if isinstance(value, int) else value.count)

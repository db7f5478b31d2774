"""What users ask of orchestrators that conductors alone can ask for, and how they carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.clients.orchestrator import Orchestrator, drainer, node_keeper
from app.domain import JSON, Operation, Outcome
from app.errors import NotFound
from app.operations import Handler

CHECK: Final = "orchestrators.check"
DRAIN: Final = "nodes.drain"
UNDRAIN: Final = "nodes.undrain"

_CHECK_SECONDS: Final = 120.0
"""Longest time for a check: each command of a cluster that does not answer takes its time."""
_CHECKS: Final = 3
"""Checks at the same time: each may wait for an orchestrator that does not answer."""
_DRAIN_SECONDS: Final = 90.0
"""Longest time to drain a node."""
_DRAINS: Final = 2


def handlers(orchestrators: Mapping[str, Orchestrator]) -> dict[str, Handler]:
    """Return how a conductor carries out what is asked of orchestrators, by kind.

    Args:
        orchestrators: Its own, by name.
    """
    draining = _drain_handler(orchestrators)
    return {CHECK: _check_handler(orchestrators), DRAIN: draining, UNDRAIN: draining}


def _check_handler(orchestrators: Mapping[str, Orchestrator]) -> Handler:
    def carry_out(operation: Operation) -> JSON:
        behind = orchestrators.get(operation.subject)
        if behind is None:
            raise NotFound("There is no such orchestrator any more.")
        found = behind.examine(operation.owner)
        return {
            "ok": all(each.outcome is not Outcome.FAILED for each in found),
            "checks": [
                {
                    "name": each.name,
                    "outcome": str(each.outcome),
                    "text": each.text,
                    "fix": each.fix,
                }
                for each in found
            ],
        }

    return Handler(carry_out, timeout_seconds=_CHECK_SECONDS, threads=_CHECKS)


def _drain_handler(orchestrators: Mapping[str, Orchestrator]) -> Handler:
    def carry_out(operation: Operation) -> JSON:
        behind = orchestrators.get(operation.arguments["orchestrator"])
        if behind is None:
            raise NotFound("There is no such node.")
        drains = drainer(behind)
        change = drains.drain if operation.kind == DRAIN else drains.undrain
        change(operation.subject)
        return {"state": str(node_keeper(behind).node(operation.subject).state)}

    return Handler(carry_out, timeout_seconds=_DRAIN_SECONDS, threads=_DRAINS)

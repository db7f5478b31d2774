"""The orchestrators that there are, and whether all that they need is well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.clients.orchestrator import Orchestrator
from app.domain import JSON, Identity, Operation, Outcome, Permission
from app.errors import NotFound
from app.identity.permissions import require
from app.operations import Handler
from app.services.operations import OperationService

CHECK: Final = "orchestrators.check"
_CHECK_SECONDS: Final = 120.0
_THREADS: Final = 3
"""Checks at the same time: each may wait for an orchestrator that does not answer."""


@dataclass(frozen=True, slots=True)
class Configured:
    """An orchestrator that is configured.

    Attributes:
        can: What it can do beside what all can.
    """

    name: str
    can: tuple[str, ...]


class OrchestratorService:
    """Tells which orchestrators there are, and has conductors check them.

    Args:
        orchestrators: The orchestrators by name.
        operations: Files what conductors carry out.
    """

    def __init__(
        self, orchestrators: Mapping[str, Orchestrator], operations: OperationService
    ) -> None:
        self._orchestrators = orchestrators
        self._operations = operations

    def all(self, identity: Identity) -> list[Configured]:
        """List them, in the order of the settings.

        Raises:
            NotAllowed: The caller lacks the permission.
        """
        require(identity, Permission.WORKFLOWS_READ)
        return [
            Configured(name, tuple(sorted(str(each) for each in behind.capabilities)))
            for name, behind in self._orchestrators.items()
        ]

    def check(self, name: str, identity: Identity) -> Operation:
        """Have a conductor look at all that one needs; the operation says what it found.

        Raises:
            NotAllowed: The caller lacks the permission.
            NotFound: There is none of this name.
            QuotaExceeded: Too much of theirs is under way.
        """
        require(identity, Permission.EXECUTIONS_RUN)
        if name not in self._orchestrators:
            raise NotFound("There is no such orchestrator.")
        return self._operations.file(CHECK, name, {}, identity)


def check_handler(orchestrators: Mapping[str, Orchestrator]) -> Handler:
    """Return how a conductor carries out checks.

    Args:
        orchestrators: Its own, by name.
    """

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

    return Handler(carry_out, timeout_seconds=_CHECK_SECONDS, threads=_THREADS)

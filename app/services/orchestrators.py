"""The orchestrators that there are, and whether all that they need is well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.clients.orchestrator import Orchestrator
from app.domain import Identity, Operation, Permission
from app.errors import NotFound
from app.identity.permissions import require
from app.services.operations import OperationService
from app.services.orchestrator_requests import CHECK


@dataclass(frozen=True, slots=True)
class Configured:
    """An orchestrator that is configured.

    Attributes:
        can: What it can do beside what all can.
        elsewhere: Its commands run on other machines, which conductors alone reach.
    """

    name: str
    can: tuple[str, ...]
    elsewhere: bool


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
            Configured(
                name,
                tuple(sorted(str(each) for each in behind.capabilities)),
                behind.only_conductors,
            )
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

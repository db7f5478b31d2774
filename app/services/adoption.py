"""Executions that were started elsewhere, and are taken over when somebody asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from app.clients.orchestrator import Adoption, Capability, Orchestrator, adopter
from app.domain import Execution, Identity
from app.errors import Conflict, NotFound, UpstreamError
from app.services.access import NOBODY, Access
from app.services.unknown import UnknownIds
from app.store.launches import Intent, Launches

_ADOPT_AGAIN_SECONDS = 2.0
"""When to ask again for an execution whose launch is being settled."""


class AdoptionService:
    """Takes over what orchestrators know by ids of their own.

    Args:
        orchestrators: The orchestrators by name.
        launches: Writes down what was taken over.
        access: Who may know of an execution.
    """

    def __init__(
        self, orchestrators: Mapping[str, Orchestrator], launches: Launches, access: Access
    ) -> None:
        self._adopters = [o for o in orchestrators.values() if Capability.ADOPT in o.capabilities]
        self._launches = launches
        self._access = access
        self._unknown: UnknownIds[Execution] = UnknownIds()

    def adopt(self, execution_id: str, identity: Identity) -> Execution:
        """Take over the execution that an orchestrator knows by an id which the store does not.

        Raises:
            NotFound: There is none that this user may know of.
            LimitExceeded: This user looked for too many ids in vain.
            UpstreamError: An orchestrator would have to be asked, and does not answer.
        """
        if not self._adopters:
            raise NotFound("There is no such execution.")
        find = partial(self._adopt, execution_id, identity)
        return self._unknown.look(identity.username, execution_id, find)

    def _adopt(self, execution_id: str, identity: Identity) -> Execution:
        """Take over an execution that an orchestrator knows by this id."""
        failure: UpstreamError | None = None
        for orchestrator in self._adopters:
            try:
                found = adopter(orchestrator).adopt(execution_id, identity)
            except UpstreamError as exc:
                failure = exc  # another one may know it
                continue
            if found is not None:
                return self._take_over(orchestrator, execution_id, found, identity)
        if failure is not None:
            raise failure
        raise NotFound("There is no such execution.")

    def _take_over(
        self, orchestrator: Orchestrator, execution_id: str, found: Adoption, identity: Identity
    ) -> Execution:
        """Write down what an orchestrator knows, unless it was launched here.

        Such a one has an owner, and an id of its own.
        """
        intent = Intent(
            execution_id=execution_id,
            orchestrator=orchestrator.name,
            workflow_id=found.workflow_id,
            workflow_name=found.workflow_name,
            owner=NOBODY,
            inputs={},
        )
        try:
            execution = self._launches.adopt(
                intent, found.reference, found.status, found.started_at
            )
        except Conflict as exc:
            text = (
                "This execution may have been begun by a launch of which it is not known yet "
                "whether the orchestrator received it. Ask again soon."
            )
            raise UpstreamError(text, retry_after_seconds=_ADOPT_AGAIN_SECONDS) from exc
        if execution.id != execution_id:
            self._access.require_visible(execution, identity)
        return execution

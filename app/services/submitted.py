"""Workflows that were submitted, by what became of them."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from app.domain import OPEN_STATUSES, ExecutionFilter, ExecutionStatus, ExecutionSummary, Identity
from app.errors import Conflict, NotFound
from app.services.executions import ExecutionService
from app.services.steering import SteeringService
from app.services.submissions import SubmissionService
from app.store.names import storable

_MOST: Final = 1000
"""Executions that are stopped by one call; nobody has as many that have not ended."""


class SubmittedService:
    """Looks at and stops the executions of a workflow of virtual users, all together.

    Args:
        submissions: Knows what takes submissions.
        executions: Finds the executions that somebody may know of.
        steering: Cancels.
    """

    def __init__(
        self,
        submissions: SubmissionService,
        executions: ExecutionService,
        steering: SteeringService,
    ) -> None:
        self._submissions = submissions
        self._executions = executions
        self._steering = steering

    def latest(self, workflow_id: str, identity: Identity) -> ExecutionSummary:
        """Return the latest execution of a workflow.

        Raises:
            NotFound: There is none that this user may know of.
        """
        found = self._find(workflow_id, identity, None, 1)
        if not found:
            raise NotFound("There is no such workflow.")
        return found[0]

    def stop(self, workflow_id: str, identity: Identity) -> None:
        """Ask for the end of all executions of a workflow that have not ended.

        Raises:
            NotFound: It has no executions that this user may know of.
            Conflict: All of them have ended.
        """
        open_ = self._find(workflow_id, identity, OPEN_STATUSES, _MOST)
        if not open_:
            self.latest(workflow_id, identity)
            raise Conflict("No execution of this workflow runs.")
        for execution in open_:
            with suppress(Conflict):  # it has ended meanwhile
                self._steering.cancel(execution.id, identity)

    def _find(
        self,
        workflow_id: str,
        identity: Identity,
        states: frozenset[ExecutionStatus] | None,
        most: int,
    ) -> list[ExecutionSummary]:
        wanted = ExecutionFilter(
            workflow_id=storable(workflow_id),
            orchestrator=self._submissions.orchestrator,
            states=states,
        )
        return self._executions.find(wanted, identity, 0, most)[0]

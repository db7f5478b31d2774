"""Steering executions: what users want of them is written down, and the conductor makes it so."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import structlog

from app.clients.orchestrator import Orchestrator, pauser, scaler
from app.domain import (
    DesiredState,
    DrivenExecution,
    Execution,
    ExecutionStatus,
    Identity,
    Permission,
)
from app.errors import Conflict, SlipwayError, UpstreamError
from app.identity.permissions import require
from app.services.executions import ExecutionService
from app.store.steering import SteeredExecutions
from app.store.stranded import abandoned_by

log = structlog.get_logger(__name__)

_STEERABLE = {ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED}


def requested(what: str, identity: Identity) -> str:
    """Return what an execution's log says of something that somebody asks for."""
    return f"{what} requested by '{identity.username}'."


def tells_of_cancel(content: str) -> bool:
    """Return whether an execution's log says there that its end was asked for."""
    return content.startswith("Cancel requested by ")


class SteeringService:
    """Cancels, pauses, resumes, scales and abandons executions.

    Args:
        orchestrators: The orchestrators by name.
        executions: The executions in the store.
        known: Finds the executions that somebody may know of.
    """

    def __init__(
        self,
        orchestrators: Mapping[str, Orchestrator],
        executions: SteeredExecutions,
        known: ExecutionService,
    ) -> None:
        self._orchestrators = orchestrators
        self._executions = executions
        self._known = known

    def cancel(self, execution_id: str, identity: Identity) -> None:
        """Ask for the end of an execution; asking twice is fine.

        Raises:
            Conflict: It has ended already, or the orchestrator refused.
        """
        execution = self._driven(execution_id, identity)
        if execution.status is ExecutionStatus.CANCELLED:
            return
        if execution.status.final:
            raise Conflict(f"The execution has ended already, with status {execution.status}.")
        if execution.reference is not None:
            self._ask_to_cancel(execution)
        # Who asks again adds nothing: it is under way.
        first = execution.desired is not DesiredState.CANCEL
        remark = self._remark("Cancel", execution, identity) if first else ""
        if not self._executions.desire(
            execution, DesiredState.CANCEL, ExecutionStatus.CANCELLING, remark=remark
        ):
            self.cancel(execution_id, identity)  # it has ended meanwhile, one way or the other

    def cancel_each(
        self, ids: Sequence[str], identity: Identity, seconds: float
    ) -> list[SlipwayError | None]:
        """Ask for the end of several executions, one after the other.

        Args:
            ids: Their ids or names.
            identity: Who asks.
            seconds: After so long no further one is begun with: an orchestrator may be slow.

        Returns:
            What came of each: None where its end was asked for.
        """
        deadline = time.monotonic() + seconds
        results: list[SlipwayError | None] = []
        for id_ in ids:
            try:
                if time.monotonic() >= deadline:
                    raise Conflict("Not asked for: the others took too long. Try again.")
                self.cancel(id_, identity)
                results.append(None)
            except SlipwayError as exc:
                results.append(exc)
        return results

    def _ask_to_cancel(self, execution: DrivenExecution) -> None:
        """Ask at once, so that a refusal is answered; the conductor asks a silent orchestrator."""
        try:
            self.orchestrator(execution).cancel(execution)
        except UpstreamError as exc:
            log.warning("cancel is put off", execution=execution.id, error=exc.message)

    def pause(self, execution_id: str, identity: Identity) -> None:
        """Stop an execution for a while; asking twice is fine.

        Raises:
            Conflict: It has ended, or is being cancelled.
            CapabilityMissing: Its orchestrator cannot pause.
        """
        execution = self._steerable(execution_id, identity, "paused")
        pauser(self.orchestrator(execution)).pause(execution)
        remark = self._remark("Pause", execution, identity)
        self._desire(execution, DesiredState.PAUSE, ExecutionStatus.PAUSED, remark)

    def resume(self, execution_id: str, identity: Identity) -> None:
        """Let a paused execution go on.

        Raises:
            Conflict: It is not paused.
            CapabilityMissing: Its orchestrator cannot pause.
        """
        execution = self._steerable(execution_id, identity, "resumed")
        behind = pauser(self.orchestrator(execution))
        if execution.desired is not DesiredState.PAUSE:
            raise Conflict("The execution is not paused.")
        behind.resume(execution)
        remark = self._remark("Resume", execution, identity)
        self._desire(execution, DesiredState.RUN, ExecutionStatus.RUNNING, remark)

    def scale(self, execution_id: str, target_vus: int, identity: Identity) -> None:
        """Ask for another number of virtual users, of one that runs or is paused.

        Args:
            execution_id: Id or name of the execution.
            target_vus: How many there shall be in all; 0 and more.
            identity: Who asks.

        Raises:
            InvalidRequest: It is more than the user may have, or than the execution can.
            Conflict: It has ended, or is being cancelled.
            CapabilityMissing: Its orchestrator cannot scale.
            NodesMissing: The nodes that there are cannot carry them.
        """
        execution = self._steerable(execution_id, identity, "scaled")
        scaler(self.orchestrator(execution)).scale(execution, target_vus, identity)

    def abandon(self, execution_id: str, identity: Identity) -> None:
        """End an execution by decree: it has failed, whatever becomes of what it began.

        For executions whose machine is gone for good, or that nothing else ends. Nothing is asked
        of the orchestrator, so what still runs goes on, unobserved: cancel first.

        Raises:
            NotAllowed: The caller lacks the permission.
            Conflict: It has ended already.
        """
        execution = self._known.get(execution_id, identity)
        require(identity, Permission.EXECUTIONS_ABANDON)
        if not self._executions.abandon(execution, abandoned_by(identity.username)):
            raise Conflict("The execution has ended already.")
        log.warning("execution abandoned", execution=execution.id, by=identity.username)

    def _driven(self, execution_id: str, identity: Identity) -> DrivenExecution:
        """Get an execution that the user may see, as its orchestrator knows it."""
        return self._executions.get(self._known.get(execution_id, identity).id)

    def _steerable(self, execution_id: str, identity: Identity, verb: str) -> DrivenExecution:
        execution = self._driven(execution_id, identity)
        if execution.status not in _STEERABLE:
            raise Conflict(f"An execution in state {execution.status} cannot be {verb}.")
        return execution

    def _remark(self, what: str, execution: Execution, identity: Identity) -> str:
        """Return what an execution's log says of what somebody asks for, and log it, too."""
        log.info("steered", request=what.lower(), execution=execution.id, user=identity.username)
        return requested(what, identity)

    def _desire(
        self, execution: Execution, desired: DesiredState, shown: ExecutionStatus, remark: str
    ) -> None:
        if not self._executions.desire(execution, desired, shown, remark=remark):
            raise Conflict("The execution has ended, or is being cancelled, meanwhile.")

    def orchestrator(self, execution: Execution) -> Orchestrator:
        """Return the orchestrator of an execution.

        Raises:
            Conflict: It is not configured any more.
        """
        try:
            return self._orchestrators[execution.orchestrator]
        except KeyError:
            text = f"The orchestrator '{execution.orchestrator}' is not configured any more."
            raise Conflict(text) from None

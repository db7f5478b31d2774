"""What somebody can do with an execution now, and why not: what buttons are offered by.

Nothing is decided here: who asks for what was possible may still be refused, as time has passed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.clients.orchestrator import Capability, Orchestrator
from app.domain import (
    BEGUN,
    Execution,
    ExecutionFilter,
    ExecutionStatus,
    ExecutionSummary,
    Identity,
    Permission,
    Task,
)
from app.identity.permissions import is_allowed
from app.services.access import is_theirs
from app.services.executions import ExecutionService

_CANCELLING: Final = "Its end was asked for already."
_ENDED: Final = "It has ended."
_OPEN: Final = "It has not ended yet."
_PAUSED: Final = "It is paused: resume it first."


class Action(StrEnum):
    """What can be asked of an execution, or of one of its tasks."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    SCALE = "scale"
    RETRY = "retry"
    PURGE = "purge"
    ABANDON = "abandon"
    START = "start"
    STOP = "stop"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that somebody may do, and that the orchestrator is able to.

    Attributes:
        refusal: Why it is not possible now, as a sentence; empty where it is.
    """

    action: Action
    refusal: str = ""

    @property
    def possible(self) -> bool:
        """Whether it is possible now."""
        return not self.refusal


class ChoiceService:
    """Says what can be done with executions and their tasks.

    Args:
        orchestrators: The orchestrators by name.
        executions: Finds the executions that somebody may know of.
    """

    def __init__(
        self, orchestrators: Mapping[str, Orchestrator], executions: ExecutionService
    ) -> None:
        self._orchestrators = orchestrators
        self._executions = executions

    def of(
        self, execution: Execution, successor: ExecutionSummary | None, identity: Identity
    ) -> tuple[Choice, ...]:
        """Return what somebody who sees an execution can do with it.

        Args:
            execution: The execution.
            successor: What goes on from it; see :meth:`successor`.
            identity: Who sees it.
        """
        return tuple(self._of(execution, successor, identity))

    def of_task(self, execution: Execution, task: Task, identity: Identity) -> tuple[Choice, ...]:
        """Return what somebody who sees an execution can do with one of its tasks."""
        if not is_allowed(identity, Permission.TASKS_STEER):
            return ()
        if Capability.TASK_CONTROL not in self._abilities(execution):
            return ()
        to_run = self._refusal_to_run(execution, identity)
        begun = "It runs." if task.status in BEGUN else ""
        return (
            Choice(Action.START, to_run or begun),
            Choice(Action.STOP, _refusal_to_stop(execution, task)),
            Choice(Action.RESTART, to_run),
        )

    def successor(self, execution: Execution, identity: Identity) -> ExecutionSummary | None:
        """Return the execution that goes on from an ended one; None where there is none."""
        if not execution.status.final:
            return None
        wanted = ExecutionFilter(continues=execution.id)
        found, _ = self._executions.find(wanted, identity, 0, 1)
        return found[0] if found else None

    def _of(
        self, execution: Execution, successor: ExecutionSummary | None, identity: Identity
    ) -> Iterator[Choice]:
        abilities, status = self._abilities(execution), execution.status
        steerable = _refusal_to_steer(status)
        theirs = is_theirs(execution.owner, identity)
        if is_allowed(identity, Permission.EXECUTIONS_CANCEL):
            yield Choice(Action.CANCEL, _refusal_to_end(status))
        if is_allowed(identity, Permission.EXECUTIONS_STEER):
            paused = status is ExecutionStatus.PAUSED
            if Capability.PAUSE in abilities:
                yield Choice(Action.PAUSE, steerable or ("It is paused." if paused else ""))
                yield Choice(Action.RESUME, steerable or ("" if paused else "It is not paused."))
            if Capability.SCALE in abilities:
                yield Choice(Action.SCALE, steerable)
            if Capability.CONTINUE in abilities and theirs:
                yield Choice(Action.RETRY, _refusal_to_retry(execution, successor))
        if is_allowed(identity, Permission.EXECUTIONS_PURGE) and theirs:
            yield Choice(Action.PURGE, _refusal_to_purge(execution, successor))
        if is_allowed(identity, Permission.EXECUTIONS_ABANDON):
            yield Choice(Action.ABANDON, _ENDED if status.final else "")

    def _refusal_to_run(self, execution: Execution, identity: Identity) -> str:
        """Return why no task can be had to run."""
        if execution.status.final:
            if Capability.CONTINUE not in self._abilities(execution):
                return _ENDED
            return _refusal_to_go_on(execution, self.successor(execution, identity))
        if execution.status is ExecutionStatus.CANCELLING:
            return _CANCELLING
        return _PAUSED if execution.status is ExecutionStatus.PAUSED else ""

    def _abilities(self, execution: Execution) -> frozenset[Capability]:
        behind = self._orchestrators.get(execution.orchestrator)
        return frozenset() if behind is None else behind.capabilities


def _refusal_to_end(status: ExecutionStatus) -> str:
    if status.final:
        return _ENDED
    return _CANCELLING if status is ExecutionStatus.CANCELLING else ""


def _refusal_to_steer(status: ExecutionStatus) -> str:
    if status is ExecutionStatus.UNKNOWN:
        return "Whether it began is not known yet."
    return _refusal_to_end(status)


def _refusal_to_retry(execution: Execution, successor: ExecutionSummary | None) -> str:
    if execution.status is ExecutionStatus.SUCCESS:
        return "Nothing is left to do: it succeeded."
    return _refusal_to_go_on(execution, successor)


def _refusal_to_go_on(execution: Execution, successor: ExecutionSummary | None) -> str:
    if not execution.status.final:
        return _OPEN
    return "" if successor is None else f"It goes on in {successor.awf_name} already."


def _refusal_to_purge(execution: Execution, successor: ExecutionSummary | None) -> str:
    if not execution.status.final:
        return _OPEN
    if not execution.log_complete:
        return "The end of its log is still awaited."
    return "" if successor is None else f"{successor.awf_name} goes on from it, and needs it."


def _refusal_to_stop(execution: Execution, task: Task) -> str:
    if execution.status.final or task.status.final:
        return _ENDED
    return _CANCELLING if execution.status is ExecutionStatus.CANCELLING else ""

"""Executions whose looks fail in a way that nobody foresaw: counted, and ended after a few tries.

An exception that is no error of the product, rows that the database refuses, a look in which the
whole process dies: each would come back with every look, for ever, and a cancel could not end it
either, because that takes a look as well. The count is in the store, so it survives the conductor.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog

from app.clients.orchestrator import Orchestrator
from app.domain import DrivenExecution
from app.store.driving import DrivenExecutions

log = structlog.get_logger(__name__)

MOST_TRIES = 5
"""Looks that may fail like this in a row."""

_ENDING_SECONDS = 30.0
"""For what still runs of an execution to end, before that is given up."""
_ASK_AGAIN_SECONDS = 0.5
"""How often it is looked whether it has ended."""
_CAUSE_CHARACTERS = 300
_DIED = "each process that looked at it ended before it was done"


@dataclass(slots=True)
class Trial:
    """What is known of one execution in this respect.

    Attributes:
        suspect: A look failed like this, or began in a process that died, and none succeeded since.
        cause: What the last failure was.
        ending_since: When its end was first asked for, on the monotonic clock.
    """

    suspect: bool = False
    cause: str = _DIED
    ending_since: float | None = None


class LastResort:
    """Counts the looks at suspects before they are made, and ends who had enough of them.

    Args:
        executions: The executions in the store.
        orchestrators: The orchestrators by name.
        owner: Id of the conductor, which must hold the executions.
    """

    def __init__(
        self, executions: DrivenExecutions, orchestrators: Mapping[str, Orchestrator], owner: str
    ) -> None:
        self._executions = executions
        self._orchestrators = orchestrators
        self._owner = owner

    def may_look(self, execution: DrivenExecution) -> bool:
        """Count a look at a suspect; False when it had enough of them.

        Raises:
            NotHeld: Another conductor holds the execution.
        """
        return self._executions.count_try(execution, self._owner) <= MOST_TRIES

    def suspect(self, execution: DrivenExecution, trial: Trial, failure: BaseException) -> None:
        """Note that a look failed as nobody foresaw; never fails itself."""
        counted, trial.suspect = trial.suspect, True
        with suppress(Exception):
            trial.cause = cause_of(failure)
            if not counted:
                self._executions.count_try(execution, self._owner)

    def clear(self, execution: DrivenExecution, trial: Trial) -> None:
        """Note that a look at a suspect came to its end; never fails itself."""
        with suppress(Exception):
            self._executions.clear_tries(execution, self._owner)
            trial.suspect = False

    def end(self, execution: DrivenExecution, trial: Trial) -> float | None:
        """End what still runs of an execution, and then the execution.

        Returns:
            Seconds until it is worth to call again; None when the execution has ended.
        """
        moment = time.monotonic()
        trial.ending_since = trial.ending_since or moment
        became = self._abandon(execution)
        if became is None and moment - trial.ending_since < _ENDING_SECONDS:
            return _ASK_AGAIN_SECONDS
        became = became or "What it began could not be ended in time and may still run."
        why = f"The service cannot go on with this execution: {trial.cause}. {became}"
        if not self._executions.abandon(execution, why):
            self._executions.close_log(execution, self._owner)
        log.error("execution given up", execution=execution.id, cause=trial.cause, became=became)
        return None

    def _abandon(self, execution: DrivenExecution) -> str | None:
        orchestrator = self._orchestrators.get(execution.orchestrator)
        if orchestrator is None or execution.reference is None:
            return "What it began, if anything, may still run."
        try:
            return orchestrator.abandon(execution)
        except Exception:
            log.exception("execution cannot be ended", execution=execution.id)
            return "What it began could not be ended and may still run."


def cause_of(failure: BaseException) -> str:
    """Name a failure in one line; of one of the database, what the database said."""
    inner = getattr(failure, "orig", None) or failure
    lines = str(inner).strip().splitlines()
    text = type(inner).__name__ + (f": {lines[0]}" if lines else "")
    return text[:_CAUSE_CHARACTERS].rstrip(".")

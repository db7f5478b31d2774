"""Notes in the store that somebody follows an execution, so that it is looked at more often."""

from __future__ import annotations

import time
from datetime import timedelta

from app.domain import Execution
from app.store.execution_rows import now
from app.store.steering import SteeredExecutions

_NOTE_SECONDS = 10.0
"""How often it is stored that an execution is followed."""


class FollowNotes:
    """Writes one note for all followers of an execution, every now and then.

    Args:
        executions: The executions in the store.
    """

    def __init__(self, executions: SteeredExecutions) -> None:
        self._executions = executions
        self._noted: dict[str, float] = {}

    def note(self, execution: Execution, seconds: float) -> None:
        """Note that somebody follows an execution.

        Args:
            execution: The execution.
            seconds: How long they mean to stay.
        """
        moment = time.monotonic()
        if self._noted.get(execution.id, 0.0) > moment - _NOTE_SECONDS:
            return
        self._noted = {k: t for k, t in self._noted.items() if t > moment - _NOTE_SECONDS}
        self._noted[execution.id] = moment
        until = now() + timedelta(seconds=seconds + 2 * _NOTE_SECONDS)
        self._executions.follow(execution, until)

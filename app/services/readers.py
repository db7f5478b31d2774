"""What all readers of an execution share."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import lru_cache

from app.domain import Execution
from app.store.executions import Executions, now

_CACHED = 4096
_NOTE_SECONDS = 10.0


class Readers:
    """Looks at the store once for all who wait for the same change.

    Args:
        executions: The executions in the store.
    """

    def __init__(self, executions: Executions) -> None:
        self._executions = executions
        self._noted: dict[str, float] = {}
        self._execution_at = lru_cache(_CACHED)(lambda id_, _version: executions.get(id_))

    def latest(self, execution_id: str, version: int) -> Execution:
        """Get an execution at least as new as a version that a subscription has seen."""
        return self._execution_at(execution_id, version)

    def note(self, execution: Execution, seconds: float) -> None:
        """Have an execution looked at more often while somebody follows it.

        Args:
            execution: The execution.
            seconds: How long the reader means to stay.
        """
        moment = time.monotonic()
        if self._noted.get(execution.id, 0.0) > moment - _NOTE_SECONDS:
            return
        self._noted = {k: t for k, t in self._noted.items() if t > moment - _NOTE_SECONDS}
        self._noted[execution.id] = moment
        until = now() + timedelta(seconds=seconds + 2 * _NOTE_SECONDS)
        self._executions.follow(execution, until)

"""What all readers of an execution share."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from datetime import timedelta
from typing import Protocol, TypeVar

from app import caching
from app.domain import Execution, LogEntry, Task
from app.store.execution_rows import now
from app.store.executions import Executions

_NOTE_SECONDS = 10.0
_SHARED_BYTES = 16 * 1024 * 1024
_EXECUTIONS_BYTES = 16 * 1024 * 1024
_TASKS_BYTES = 8 * 1024 * 1024
_ENTRY_BYTES = 300


class _HasEntries(Protocol):
    @property
    def entries(self) -> list[LogEntry]: ...


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=_HasEntries)


class Shared(caching.Shared[K, V]):
    """The parts of journals that were read last, as many as fit into a bounded memory.

    Ten thousand readers who wait for the same line cost one look at the journal. Whoever reads a
    long log from its start shares with nobody, and must not fill the memory with what he has read.

    Args:
        read: Reads what is not here.
    """

    def __init__(self, read: Callable[[K], V]) -> None:
        super().__init__(read, _SHARED_BYTES, _weight)


def _weight(value: _HasEntries) -> int:
    return _ENTRY_BYTES + sum(_ENTRY_BYTES + len(entry.content) for entry in value.entries)


class Readers:
    """Looks at the store once for all who wait for the same change.

    Args:
        executions: The executions in the store.
    """

    def __init__(self, executions: Executions) -> None:
        self._executions = executions
        self._noted: dict[str, float] = {}
        self._at: caching.Shared[tuple[str, int], Execution] = caching.Shared(
            lambda key: executions.get(key[0]), _EXECUTIONS_BYTES
        )
        self._tasks: caching.Shared[tuple[int, int], list[Task]] = caching.Shared(
            lambda key: executions.tasks_of(key[0]), _TASKS_BYTES
        )

    def latest(self, execution_id: str, version: int) -> Execution:
        """Get an execution at least as new as a version that a subscription has seen."""
        return self._at.get((execution_id, version))

    def tasks(self, execution: Execution) -> list[Task]:
        """List the tasks of an execution, at least as new as the execution is."""
        return list(self._tasks.get((execution.number, execution.changed)))

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

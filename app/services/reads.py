"""The executions that many read: from the store once for all, and again only once they changed."""

from __future__ import annotations

from app.caching import SharedReads
from app.domain import Execution, ExecutionFilter, ExecutionSummary, Task
from app.memory import EXECUTIONS_BYTES, LISTS_BYTES, TASKS_BYTES
from app.store.changes import ANYTHING, Changes
from app.store.executions import Executions

_List = tuple[ExecutionFilter, int, int]
_Found = tuple[list[ExecutionSummary], int]


class ExecutionReads:
    """Executions as they are in the store.

    Nothing that is given was read before its request began, unless the change feed has proved that
    nothing changed since; see ``docs/decisions/0014-what-an-answer-may-hold.md``.

    Args:
        executions: The executions in the store.
        changes: Tells of changes.
    """

    def __init__(self, executions: Executions, changes: Changes) -> None:
        self._executions: SharedReads[str, Execution] = SharedReads(
            executions.get, EXECUTIONS_BYTES, news=changes
        )
        self._tasks: SharedReads[tuple[str, int, int], tuple[Task, ...]] = SharedReads(
            lambda key: tuple(executions.tasks_of(key[1])),
            TASKS_BYTES,
            news=changes,
            topic=lambda key: key[0],
        )

        self._lists: SharedReads[_List, _Found] = SharedReads(
            lambda key: executions.find(*key), LISTS_BYTES, news=changes, topic=lambda _: ANYTHING
        )

    def find(
        self, wanted: ExecutionFilter, offset: int, limit: int
    ) -> tuple[list[ExecutionSummary], int]:
        """List executions for a request that has just begun, newest first.

        Returns:
            The asked-for stretch of them, the same object until anything has changed, and the
            number of all.
        """
        return self._lists.get((wanted, offset, limit))

    def get(self, execution_id: str) -> Execution:
        """Get an execution for a request that has just begun.

        Raises:
            NotFound: There is none with this id.
        """
        return self._executions.get(execution_id)

    def latest(self, execution_id: str) -> Execution:
        """Get an execution for a request that was woken: as new as the change that woke it.

        Raises:
            NotFound: There is none with this id any more.
        """
        return self._executions.latest(execution_id)

    def tasks(self, execution: ExecutionSummary) -> tuple[Task, ...]:
        """List the tasks of an execution that was just got, at least as new as it is."""
        # With the number of its last change: also while nobody can say whether there was another.
        return self._tasks.latest((execution.id, execution.number, execution.changed))

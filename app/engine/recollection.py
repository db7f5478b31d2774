"""What the engine knows of executions between two looks: from the store, or still in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.caching import LruCache
from app.domain import JSON, DrivenExecution
from app.engine.plan import Plan
from app.engine.progress import Progress, Stored, token_of, version_of
from app.engine.task_state import TaskState
from app.memory import PROGRESS_BYTES


class Cursors(Protocol):
    """Where the cursors of tasks are stored; see :class:`app.store.task_cursors.TaskCursors`."""

    def of(self, execution: DrivenExecution) -> Mapping[str, JSON]:
        """Read the cursors of an execution's tasks by name."""


class Recollection:
    """Makes the progress of executions, and keeps what the last looks left.

    What is kept is used only while the stored cursor carries the token of the very look that left
    it. So after a record that failed, or a look of another conductor, all is read again. The token
    is random: two conductors that count would come to the same number.

    Args:
        cursors: Where the cursors of tasks are stored.
        most_bytes: About how much may be kept; what was not used for longest makes room.
    """

    def __init__(self, cursors: Cursors, most_bytes: int = PROGRESS_BYTES) -> None:
        self._cursors = cursors
        self._kept: LruCache[str, Progress] = LruCache(most_bytes, lambda each: each.bytes)

    def take(self, execution: DrivenExecution, plan: Plan) -> Progress:
        """Return the progress of an execution as it is stored, for one look to change it.

        Raises:
            UpstreamError: Only a later version of this program can read it.
            ValueError: It cannot be read.
        """
        kept = self._kept.take(execution.id)
        token = token_of(execution.cursor)
        if kept is not None and token is not None and kept.token == token and kept.plan is plan:
            return kept
        return Progress(plan, self._stored(execution))

    def keep(self, execution: DrivenExecution, progress: Progress) -> None:
        """Keep what a look left, whose changes are about to be stored."""
        self._kept.put(execution.id, progress)

    def tasks(self, execution: DrivenExecution) -> dict[str, TaskState]:
        """Read the tasks of an execution that are not as they were launched, without a definition.

        Raises:
            UpstreamError, ValueError: As :meth:`take`.
        """
        stored = self._stored(execution).tasks
        return {name: TaskState.load(cursor) for name, cursor in stored.items()}

    def _stored(self, execution: DrivenExecution) -> Stored:
        cursor = execution.cursor
        if cursor is None:  # nobody has looked at it yet
            return Stored()
        if version_of(cursor) == 1:
            return Stored(cursor, cursor.get("tasks", {}), to_be_moved=True)
        return Stored(cursor, self._cursors.of(execution))

"""What a reader was not told yet of the tasks of an execution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

from app.domain import Task, TaskStatus
from app.services.turns import Turn

T = TypeVar("T")

_AT_ONCE: Final = 100
"""How many tasks are written in one turn."""


class TaskCounts(NamedTuple):
    """How many tasks there are, have ended, and run."""

    total: int
    done: int
    running: int


class TaskNews:
    """Knows which tasks one reader was told of, and how they stood."""

    def __init__(self) -> None:
        self._told: dict[str, Task] = {}

    def among(self, tasks: Sequence[Task]) -> list[Task]:
        """Return those that stand otherwise than the reader was told."""
        return [task for task in tasks if self._told.get(task.name) != task]

    def written(
        self, changed: Sequence[Task], turn: Turn, write: Callable[[Sequence[Task]], T]
    ) -> Iterator[T]:
        """Write tasks, some in a turn, as the reader is told of them.

        Args:
            changed: What :meth:`among` found.
            turn: In which each of the pieces is written.
            write: Writes one of them.
        """
        for start in range(0, len(changed), _AT_ONCE):
            with turn():
                some = changed[start : start + _AT_ONCE]
                self._told.update((task.name, task) for task in some)
                piece = write(some)
            yield piece


def counts_of(tasks: Sequence[Task]) -> TaskCounts:
    """Count all tasks of an execution."""
    done = sum(task.status.final for task in tasks)
    return TaskCounts(len(tasks), done, sum(task.status is TaskStatus.RUNNING for task in tasks))

"""The tasks of one step that runs for each element of a list, and what they make of the step."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from app.domain import TaskStatus
from app.elements import name_of
from app.engine.model import StepDefinition
from app.engine.task_state import TaskState

_TOLD: Final = 1000
"""Characters of why an element failed that the reason of its step repeats."""


class Tasks(Protocol):
    """Knows how each task stands."""

    def __getitem__(self, name: str) -> TaskState:
        """Return a task to be read."""


class Group:
    """How the elements of a step stand.

    Most of them wait outside, where the step says how many may run at the same time: those that
    were let in are begun as any other task, and the next comes in when one of them has ended. As
    long as the step itself cannot begin, only those come in that were asked for by name.

    Args:
        step: The step.
        count: How many elements it has.

    Attributes:
        statuses: How many elements have each status.
        queued: Why those that were begun wait in a queue where their launcher is, by their names.
        shut: The step cannot begin yet.
        most: How many of them run at the same time.
    """

    def __init__(self, step: StepDefinition, count: int) -> None:
        self.step = step
        self.count = count
        self.statuses: Counter[TaskStatus] = Counter()
        self.queued: dict[str, str] = {}
        self.shut = False
        self.most = (step.foreach.max_parallel if step.foreach else None) or count
        self._inside: set[str] = set()
        self._outside: list[tuple[bool, int]] = []

    @property
    def names(self) -> Iterator[str]:
        """The names of its tasks, in order."""
        return (name_of(self.step.id, index) for index in range(self.count))

    @property
    def inside(self) -> list[str]:
        """The names of those that were let in."""
        return list(self._inside)

    def wait(self, index: int, *, asked: bool) -> None:
        """Let an element wait outside; what was asked for by name comes in before all others."""
        heapq.heappush(self._outside, (not asked, index))

    def come_in(self, name: str) -> None:
        """Note that an element has its place already."""
        self._inside.add(name)

    def leave(self, name: str) -> None:
        """Note that an element has ended, or is to wait once more."""
        self._inside.discard(name)

    def next_in(self, may_begin: Callable[[str], bool]) -> Iterator[str]:
        """Let in as many as there is room for; yield them.

        Args:
            may_begin: Says of an element that it waits; the heap may hold others.
        """
        while self._outside and len(self._inside) < self.most:
            plain, index = self._outside[0]
            if plain and self.shut:
                return
            heapq.heappop(self._outside)
            name = name_of(self.step.id, index)
            if name not in self._inside and may_begin(name):
                self._inside.add(name)
                yield name

    def status(self, *, has_begun: bool) -> TaskStatus:
        """Return the status of the step.

        Args:
            has_begun: An element has begun.
        """
        if any(number for status, number in self.statuses.items() if not status.final):
            for status in (TaskStatus.RUNNING, TaskStatus.PAUSED):
                if self.statuses[status]:
                    return status
            return TaskStatus.RUNNING if has_begun else TaskStatus.PENDING
        return next((status for status in _WORDS if self.statuses[status]), TaskStatus.SUCCESS)

    def move(self, name: str, before: TaskStatus, after: TaskStatus) -> None:
        """Note that an element has another status."""
        self.statuses[before] -= 1
        self.statuses[after] += 1
        self.queued.pop(name, None)

    def queue(self, name: str, reason: str | None) -> None:
        """Note that an element which was begun waits in a queue, and why; None if it does not."""
        if reason is None:
            self.queued.pop(name, None)
        else:
            self.queued[name] = reason

    @property
    def waits(self) -> str | None:
        """Why the step waits in a queue where its launcher is; None if some element does not."""
        begun = self.count - self.statuses[TaskStatus.PENDING]
        return next(iter(self.queued.values()), None) if len(self.queued) == begun else None

    def fault(self, tasks: Tasks) -> str | None:
        """Return why the step has not succeeded, once all elements have ended; None if it has."""
        for status, word in _WORDS.items():
            if number := self.statuses[status]:
                first = next(name for name in self.names if tasks[name].status is status)
                which = f"the first '{first}'" if number > 1 else f"'{first}'"
                said = tasks[first].error if status is TaskStatus.FAILED else None
                why = f": {said[:_TOLD]}" if said else ""
                return f"{number} of {self.count} elements {word}, {which}{why}"
        return None

    def ended_at(self, tasks: Tasks) -> float | None:
        """Return when the last element ended, seconds since the epoch; None if that is unknown."""
        ends = (tasks[name].finished_at for name in self.names)
        return max((end for end in ends if end is not None), default=None)


_WORDS: Final = {
    TaskStatus.FAILED: "failed",
    TaskStatus.CANCELLED: "were cancelled",
    TaskStatus.SKIPPED: "have not run",
}
"""What is said of elements, the worst first."""

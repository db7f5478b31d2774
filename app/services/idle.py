"""Reading in steps: what waits for changes without a thread of its own, where its driver can."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")


class Line(Protocol):
    """A place in a line for changes, as :class:`app.store.changes.Subscription` is one."""

    def is_behind(self) -> bool:
        """Return whether there is something that the reader has not seen."""

    def pause(self, timeout_seconds: float) -> None:
        """Wait until there is, or for so long."""

    def call(self, wake: Callable[[], None]) -> None:
        """Have a function called once there is, perhaps at once, and perhaps several times."""

    def uncall(self, wake: Callable[[], None]) -> None:
        """Have a function not called any more, whether it was or not."""


@dataclass(slots=True, eq=False)
class Idle:
    """A reader has nothing to do until something changed, or for so long.

    What reads in steps yields it where it would wait otherwise. Whoever drives it waits here, or
    keeps it without a thread until it is to go on.

    Attributes:
        is_over: Set by who drives it: there is to be a result now, whatever there is.
    """

    subscription: Line
    seconds: float
    is_over: bool = False

    def wait(self) -> None:
        """Wait here until the reader has something to do again."""
        self.subscription.pause(self.seconds)


def waited(steps: Generator[T | Idle, None, None]) -> Generator[T, None, None]:
    """Go through what reads in steps, and wait where it is idle."""
    with closing(steps):  # whoever is ended while they wait here leaves nothing behind there
        for step in steps:
            if isinstance(step, Idle):
                step.wait()
            else:
                yield step


def outcome(steps: Generator[Idle, None, T]) -> T:
    """Return what is come to in steps, and wait where that is idle."""
    with closing(steps):
        while True:
            try:
                idle = next(steps)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            idle.wait()

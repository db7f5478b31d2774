"""One iteration under way: what its steps share."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.domain import JSON
from app.load.exchange import Answer, Http, Recorder
from app.load.faults import StepTimedOut
from app.load.scripts import Scripts
from app.load.variables import Scope

VU = "__VU"
"""Name of the variable that holds the number of the virtual user."""

ITERATION = "__ITER"
"""Name of the variable that holds the number of the iteration of this virtual user."""


def now_us() -> int:
    """Return microseconds of a clock that nothing sets."""
    return time.monotonic_ns() // 1000


class Run:
    """One iteration of one virtual user.

    Attributes:
        deadline_us: When the innermost condition or loop with a timeout is over; None for never.
        limit_us: When the step that runs is over.
        answer: The last one of the step that runs; None where there is none.
        took_branch: Whether the condition that ended last ran one of its branches.
    """

    __slots__ = (
        "answer",
        "deadline_us",
        "http",
        "limit_us",
        "recorder",
        "scope",
        "scripts",
        "sleep",
        "took_branch",
    )

    def __init__(
        self,
        http: Http,
        recorder: Recorder,
        *,
        scripts: Scripts,
        sleep: Callable[[float], None],
        variables: dict[str, JSON],
    ) -> None:
        self.http, self.recorder, self.scripts, self.sleep = http, recorder, scripts, sleep
        self.scope = Scope(variables)
        self.deadline_us: int | None = None
        self.limit_us = 0
        self.answer: Answer | None = None
        self.took_branch = False

    def begin(self, microseconds: int) -> None:
        """Give the step that begins now so much time, and no more than those around it have."""
        limit = now_us() + microseconds
        self.limit_us = limit if self.deadline_us is None else min(limit, self.deadline_us)

    def left_us(self) -> int:
        """Return what is left of the time of the step that runs.

        Raises:
            StepTimedOut: Nothing is.
        """
        left = self.limit_us - now_us()
        if left <= 0:
            raise StepTimedOut("the step took longer than it may")
        return left

    def check_deadline(self) -> None:
        """Go on only while those around have time.

        Raises:
            StepTimedOut: They have none.
        """
        if self.deadline_us is not None and now_us() >= self.deadline_us:
            raise StepTimedOut("the steps within it took longer than it may")

    def wait(self, microseconds: int) -> None:
        """Wait, on top of what the step may take.

        Raises:
            StepTimedOut: Those around it have less time than that.
        """
        self.limit_us += microseconds
        if self.deadline_us is None:
            self.sleep(microseconds / 1_000_000)
            return
        self.sleep(max(0, min(microseconds, self.deadline_us - now_us())) / 1_000_000)
        self.check_deadline()

    def script(self, source: str, answer: Answer | None) -> None:
        """Run a script, and do with the variables what it says.

        Raises:
            StepFailed: It failed, or they would be too long.
        """
        seconds = self.left_us() / 1_000_000
        changes = self.scripts.run(source, self.scope.values, answer, seconds)
        for name in changes.removed:
            self.scope.remove(name)
        for name, value in changes.set.items():
            self.scope.set(name, value)

"""One task of a slave, shared out over its worker processes, and their reports as one.

Each process has a part of the task's segment, and iterations of its own that it may begin, where
those are counted: as many as belong to the virtual users that it has. What one did not begin that
has no virtual users any more goes to others, once it is sure to begin none; what a process that
died has not done goes to the one in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from app.load.measures import Report, closed, empty, merge, with_few_errors
from app.load.messages import DesiredTask, TaskReport
from app.load.segments import Segment

Vus = Callable[[DesiredTask, Segment, int], int]
"""Tells how many virtual users of a task are in a segment, when it has run for microseconds."""


@dataclass(slots=True)
class _Part:
    """What one worker process has of a task.

    Attributes:
        segment: Its part of the whole.
        given: Iterations that it may begin, all that its process was ever given.
        generation: Of what was said to it last.
        sent: What that was.
        followed: The generation that it has reported.
        report: What it has reported.
    """

    segment: Segment
    given: int = 0
    generation: int = 0
    sent: DesiredTask | None = None
    followed: int = 0
    report: Report | None = None

    @property
    def claimed(self) -> int:
        return 0 if self.report is None else self.report["claimed"]

    @property
    def has_stopped(self) -> bool:
        """Whether it is sure to begin no more than it has reported."""
        told = self.sent is not None and self.sent.quota == 0
        return self.sent is None or (told and self.followed >= self.generation)


class SharedTask:
    """A task, as it is shared out.

    Args:
        desired: What is wanted.
        now: When it came.
        processes: How many there are.
        vus: Tells how many virtual users are in a segment.
    """

    def __init__(self, desired: DesiredTask, now: float, processes: int, vus: Vus) -> None:
        self.desired = desired
        self.held = False
        self._taken_at = now
        self._vus = vus
        self._past = empty(ended=True)
        self._spent = 0
        self._followed = 0
        self._parts = [_Part(segment) for segment in desired.segment.split([1] * processes)]

    def take(self, desired: DesiredTask, now: float) -> None:
        """Take what is wanted from now on, unless it is older than what is known.

        What is known already is taken again after a hold: it is what the master wants by now.
        """
        newest = self.desired.generation
        if desired.generation < newest or (desired.generation == newest and not self.held):
            return
        if desired.segment != self.desired.segment:
            segments = desired.segment.split([1] * len(self._parts))
            for part, segment in zip(self._parts, segments, strict=True):
                part.segment = segment
        self.desired, self._taken_at, self.held = desired, now, False

    def hold(self, now: float) -> None:
        """Begin no iteration until the master says again what is wanted."""
        if not self.held:
            self.desired = replace(self.desired, elapsed_us=self._elapsed_us(now))
            self.held = True

    def wants(self, now: float, *, leaving: bool) -> list[tuple[int, DesiredTask]]:
        """Return what the processes must be told, each by its number.

        Args:
            now: The time.
            leaving: No iteration is to begin any more.
        """
        elapsed_us = self._elapsed_us(now)
        quotas = self._quotas(elapsed_us)
        stop = "gently" if leaving and self.desired.stop == "no" else self.desired.stop
        told = []
        for number, part in enumerate(self._parts):
            wanted = replace(
                self.desired,
                segment=part.segment,
                quota=quotas[number],
                max_vus=-(-self.desired.max_vus // len(self._parts)),
                paused=self.desired.paused or self.held,
                stop=stop,
                generation=0,
                elapsed_us=self.desired.elapsed_us,
            )
            if wanted != part.sent:
                part.sent = wanted
                part.generation += 1
                generation = part.generation
                told.append((number, replace(wanted, generation=generation, elapsed_us=elapsed_us)))
        return told

    @property
    def has_ended(self) -> bool:
        """Whether nothing runs any more, nor will unless more is wanted."""
        return all(part.report is not None and part.report["ended"] for part in self._parts)

    @property
    def vus(self) -> int:
        """Virtual users at the moment."""
        return sum(part.report["vus"] for part in self._parts if part.report is not None)

    def reported(self, process: int, report: TaskReport) -> bool:
        """Take what a process has done; return whether all have ended by that."""
        had_ended, part = self.has_ended, self._parts[process]
        part.report, part.followed = report.report, report.generation
        return self.has_ended and not had_ended

    def replaced(self, process: int) -> None:
        """Note that a process is gone, and another one is in its place, which knows nothing."""
        part = self._parts[process]
        if part.report is not None:
            self._past = merge([self._past, closed(part.report)])
            self._spent += part.report["iterations"]
            part.given = max(0, part.given - part.report["iterations"])
        part.sent, part.report, part.followed = None, None, 0

    def report(self) -> TaskReport:
        """Return what was done in all, and which generation all processes follow."""
        if all(part.sent and part.followed >= part.generation for part in self._parts):
            self._followed = self.desired.generation
        reports = [part.report or empty() for part in self._parts]
        whole = with_few_errors(merge([self._past, *reports]))
        return TaskReport(self.desired.task, self._followed, whole)

    def _elapsed_us(self, now: float) -> int:
        if self.desired.paused or self.held:
            return self.desired.elapsed_us
        return self.desired.elapsed_us + max(0, round((now - self._taken_at) * 1_000_000))

    def _quotas(self, elapsed_us: int) -> list[int | None]:
        """Return how many iterations each process may begin; 0 where it is to begin none.

        None may begin more than they were given before, unless they have virtual users.
        """
        quota = self.desired.quota
        if quota is None:
            return [None] * len(self._parts)
        holders = [self._vus(self.desired, part.segment, elapsed_us) for part in self._parts]
        if not any(holders):
            return [part.given for part in self._parts]
        for part, held in zip(self._parts, holders, strict=True):
            if not held and part.has_stopped:
                part.given = min(part.given, part.claimed)
        left = quota - self._spent - sum(part.given for part in self._parts)
        if left > 0:
            for part, more in zip(self._parts, _dealt(left, holders), strict=True):
                part.given += more
        return [part.given if held else 0 for part, held in zip(self._parts, holders, strict=True)]


def _dealt(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a number by weights that are not all 0, into whole numbers that sum to it."""
    whole = sum(weights)
    edges = [total * edge // whole for edge in accumulate(weights, initial=0)]
    return [after - before for before, after in pairwise(edges)]

"""Comparing two executions: inputs, definitions, tasks, outputs and logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from app.concurrency import FairPlaces
from app.domain import ALL_LEVELS, Execution, Identity, Task
from app.errors import NotFound
from app.services.definition_texts import DefinitionChange, DefinitionTexts, TextDifference
from app.services.differences import ValueChange, changed_values
from app.services.executions import ExecutionService
from app.services.log_comparison import LogComparison, LogDifference
from app.services.logs import LogQuery, LogService
from app.services.turns import Turns

MOST_STEPS: Final = 1000
"""Tasks that are told; those that differ go before the others."""
_AT_ONCE: Final = 2
"""Comparisons at the same time: what is in memory of each has a bound."""
_WAITING: Final = 4
"""Comparisons of one user that wait for their turn: nobody waits longer than proxies do."""
_LONGEST_NAMED: Final = 64


@dataclass(frozen=True, slots=True)
class StepChange:
    """One task in two executions.

    Attributes:
        before: In the one; None where it has no such task.
        after: In the other.
    """

    name: str
    before: Task | None
    after: Task | None

    @property
    def change(self) -> str:
        """What became of it: ``added``, ``removed``, ``changed`` (status, exit code), ``none``."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        sides = ((task.status, task.exit_code) for task in (self.before, self.after))
        return "none" if next(sides) == next(sides) else "changed"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is not the same in two executions.

    Attributes:
        inputs: Those that differ, and how many do.
        outputs: Those that differ, and how many do.
        text: How the texts of the definitions differ.
        steps: The tasks of either, in their order.
        steps_total: How many there are.
    """

    before: Execution
    after: Execution
    inputs: tuple[tuple[ValueChange, ...], int]
    outputs: tuple[tuple[ValueChange, ...], int]
    definition: DefinitionChange
    text: TextDifference
    steps: tuple[StepChange, ...]
    steps_total: int
    log: LogDifference

    @property
    def differs(self) -> bool:
        """Whether anything differs that is not another one each time: times, durations, ids."""
        before, after = self.before, self.after
        return bool(
            before.status is not after.status
            or (before.orchestrator, before.workflow_id) != (after.orchestrator, after.workflow_id)
            or self.definition.changed
            or self.inputs[1]
            or self.outputs[1]
            or self.log.lines
            or any(step.change != "none" for step in self.steps)
        )


class ComparisonService:
    """Compares executions of all orchestrators.

    Args:
        service: Finds executions and says who may see them.
        logs: Reads what they said.
        texts: Knows what they were launched from.
        turns: Lets others act in between.
    """

    def __init__(
        self,
        service: ExecutionService,
        logs: LogService,
        texts: DefinitionTexts,
        turns: Turns,
    ) -> None:
        self._service = service
        self._logs = logs
        self._texts = texts
        self._turns = turns
        self._places = FairPlaces(_AT_ONCE, _WAITING)

    def find(self, before: str, after: str, identity: Identity) -> tuple[Execution, Execution]:
        """Get the two executions that somebody wants to compare.

        Raises:
            NotFound: There is no such execution for this user; the message says which.
            Purged: There was one.
            UpstreamError: An orchestrator would have to be asked, and does not answer.
        """
        return self._get(before, "first", identity), self._get(after, "second", identity)

    def compare(self, before: Execution, after: Execution, identity: Identity) -> Comparison:
        """Compare two executions that somebody may see.

        Raises:
            LimitExceeded: Too many comparisons of this user wait already.
        """
        with self._places.place(identity.username):
            definition = self._texts.compare(before, after)
            text = TextDifference()
            if definition.changed is not False:
                text = self._texts.difference(before, after, identity)
            tasks = self._service.tasks_of(before), self._service.tasks_of(after)
            steps = _steps(*tasks)
            return Comparison(
                before,
                after,
                changed_values(before.inputs, after.inputs),
                changed_values(before.outputs, after.outputs),
                definition,
                text,
                _foremost(steps),
                len(steps),
                self._compare_logs((before, after), steps, identity),
            )

    def _get(self, reference: str, which: str, identity: Identity) -> Execution:
        try:
            return self._service.get(reference, identity)
        except NotFound as exc:
            named = f"the {which} of the two, '{reference[:_LONGEST_NAMED]}'"
            raise type(exc)(f"{exc.message.rstrip('.')}: {named}.") from None

    def _compare_logs(
        self,
        executions: tuple[Execution, Execution],
        steps: Sequence[StepChange],
        identity: Identity,
    ) -> LogDifference:
        if any(execution.log_purged_at is not None for execution in executions):
            return LogDifference(stopped_by="purged")
        shared = {step.name for step in steps if step.before and step.after}
        unshared = {step.name for step in steps} - shared
        names = tuple((execution.id, execution.awf_name) for execution in executions)
        turn = partial(self._turns.turn, identity.username)
        every = LogQuery(0, -1, ALL_LEVELS)
        logs = [self._logs.entries(execution, every, identity) for execution in executions]
        return LogComparison(shared, unshared, (names[0], names[1]), turn).run(logs)


def _steps(before: Sequence[Task], after: Sequence[Task]) -> list[StepChange]:
    one, other = ({task.name: task for task in side} for side in (before, after))
    return [StepChange(name, one.get(name), other.get(name)) for name in {**one, **other}]


def _foremost(steps: Sequence[StepChange]) -> tuple[StepChange, ...]:
    """Return as many steps as are told, in their order."""
    if len(steps) <= MOST_STEPS:
        return tuple(steps)
    by_change = sorted(range(len(steps)), key=lambda place: steps[place].change == "none")
    return tuple(steps[place] for place in sorted(by_change[:MOST_STEPS]))

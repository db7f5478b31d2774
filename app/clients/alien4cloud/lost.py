"""Telling which execution each launch began, where the answers to launches were lost.

Alien4Cloud keeps no mark of ours and names no user, so only time and inputs tell executions apart.
Launches with the same inputs are interchangeable: each asked for the same, and gets it, whichever
execution it is given. Those with different inputs are not, and are left open rather than guessed.
Pure functions. Source: Alien4Cloud 3.8 REST, sections 5 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.clients.alien4cloud.model import CLOCK_SLACK_MS, Run
from app.domain import LAUNCH_REACH_SECONDS, Launch

_IN_ORDER_SECONDS = 10.0
"""Launches that were written down this far apart begin in that order."""

SameInputs = Callable[[Launch, Run], bool | None]
"""Returns whether an execution has the inputs of a launch; None where they cannot be compared."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Which execution is whose.

    Attributes:
        found: The execution by the id of the launch that began it, or might as well have.
        rest: Executions of which it cannot be told whether another launch began them.
    """

    found: Mapping[str, Run]
    rest: Sequence[Run]


def share_out(launches: Sequence[Launch], runs: Sequence[Run], same: SameInputs) -> Shares:
    """Assign to each launch the execution that it began, as far as that can be told.

    The answer does not depend on which of the launches it is asked for.

    Args:
        launches: All launches of one workflow that are in doubt, oldest first.
        runs: Executions of it that belong to no other launch, oldest first.
        same: Compares inputs.
    """
    # In three steps, the surest first: by known inputs; in the order of time, which is certain for
    # launches that are alike or far apart, and only if nothing is left over; and otherwise nothing
    # but what is known to have the same inputs.
    found = {} if _alike(launches) else _by_inputs(launches, runs, same)
    left = [launch for launch in launches if launch.execution_id not in found]
    rest = _without(runs, found)
    rest = [run for run in rest if any(may_have_begun(launch, run, same) for launch in left)]
    placed = _in_order(left, rest, same)
    certain = _alike(left) or (len(placed) == len(left) and _in_sequence(left))
    complete = certain and len(placed) == len(rest)
    if not complete:
        # Somebody else's are among them: only those will do that are known to be the same.
        sure = [run for run in rest if any(same(launch, run) for launch in left)]
        placed = _in_order(left, sure, same)
    return Shares({**found, **placed}, _without(rest, placed))


def _alike(launches: Sequence[Launch]) -> bool:
    """Return whether launches are interchangeable."""
    return all(launch.inputs == launches[0].inputs for launch in launches)


def _in_sequence(launches: Sequence[Launch]) -> bool:
    """Return whether launches that differ came one after the other, and not at once."""
    return all(
        earlier.inputs == later.inputs
        or (later.created_at - earlier.created_at).total_seconds() >= _IN_ORDER_SECONDS
        for earlier, later in pairwise(launches)
    )


def may_have_begun(launch: Launch, run: Run, same: SameInputs) -> bool:
    """Return whether neither time nor inputs say that another launch began an execution."""
    written_down_ms = launch.created_at.timestamp() * 1000
    in_time = -CLOCK_SLACK_MS <= run.started_ms - written_down_ms <= LAUNCH_REACH_SECONDS * 1000
    return in_time and same(launch, run) is not False


def _by_inputs(launches: Sequence[Launch], runs: Iterable[Run], same: SameInputs) -> dict[str, Run]:
    """Assign the executions whose inputs are known.

    Only the latest one's are, so of several launches that fit the latest began it.
    """
    found: dict[str, Run] = {}
    for run in runs:
        fitting = [
            launch.execution_id
            for launch in launches
            if same(launch, run) and may_have_begun(launch, run, same)
        ]
        if fitting:
            found[fitting[-1]] = run
    return found


def _in_order(launches: Iterable[Launch], runs: Sequence[Run], same: SameInputs) -> dict[str, Run]:
    """Assign to each launch, the oldest first, the oldest execution that it may have begun."""
    placed: dict[str, Run] = {}
    for launch in launches:
        for run in _without(runs, placed):
            if may_have_begun(launch, run, same):
                placed[launch.execution_id] = run
                break
    return placed


def _without(runs: Iterable[Run], placed: Mapping[str, Run]) -> list[Run]:
    given = {run.id for run in placed.values()}
    return [run for run in runs if run.id not in given]

"""The steps of a workflow as a tree: each stands once, below one of those that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slipway.cli.output import clean

if TYPE_CHECKING:
    from slipway.models import Step


@dataclass(slots=True)
class Branch:
    """A step, and what stands below it.

    Attributes:
        text: Its name; and what else it needs than the step that it stands below.
    """

    text: str
    below: list[Branch] = field(default_factory=list)


def tree_of(steps: Sequence[Step]) -> list[Branch]:
    """Return the steps that need nothing, with all others below them.

    A step that needs several stands below the first of them; the others are named beside it. What
    needs a step that is not there, or itself in the end, stands at the top.
    """
    found: dict[str, Branch] = {}
    top: list[Branch] = []
    waiting = list(steps)
    while waiting:
        ready = [step for step in waiting if all(need in found for need in step.needs)]
        for step in ready or waiting:
            branch = Branch(clean(step.name) + _others(step.needs[1:]))
            found[step.name] = branch
            above = found.get(step.needs[0]) if step.needs and ready else None
            (top if above is None else above.below).append(branch)
        waiting = [step for step in waiting if step.name not in found]
    return top


def _others(needs: Sequence[str]) -> str:
    return f" (needs {', '.join(map(clean, needs))}, too)" if needs else ""

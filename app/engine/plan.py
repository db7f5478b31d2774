"""What the looks at all executions of a definition need to know of its graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from app.elements import STRIDE
from app.engine.model import Definition, StepDefinition, StepType
from app.job_resources import Resources


@dataclass(frozen=True, slots=True)
class Plan:
    """A definition and its graph, computed once.

    Attributes:
        definition: The definition.
        steps: Its steps by id, each behind those that it needs.
        positions: The place of each step in that order, with room for elements behind it.
        followers: The steps that need each step directly, in that order.
        needed: How many other steps each step needs directly.
        most: The most processors and the most memory that any step takes.
        requests: Some step is of type ``http``.
        fans_out: Some step runs for each element of a list.
    """

    definition: Definition
    steps: dict[str, StepDefinition]
    positions: dict[str, int]
    followers: Mapping[str, tuple[str, ...]]
    needed: Mapping[str, int]
    most: Resources
    requests: bool = False
    fans_out: bool = False

    @classmethod
    def of(cls, definition: Definition) -> Self:
        """Compute the plan of a definition."""
        followers: dict[str, list[str]] = {step.id: [] for step in definition.steps}
        for step in definition.steps:
            for need in step.needs:
                followers[need].append(step.id)
        return cls(
            definition=definition,
            steps={step.id: step for step in definition.steps},
            positions={step.id: place * STRIDE for place, step in enumerate(definition.steps)},
            followers={name: tuple(behind) for name, behind in followers.items()},
            needed={step.id: len(step.needs) for step in definition.steps},
            most=Resources(
                cpus=max(step.resources.all_cpus for step in definition.steps),
                memory_bytes=max(step.resources.memory_bytes for step in definition.steps),
            ),
            requests=any(step.type is StepType.HTTP for step in definition.steps),
            fans_out=any(step.foreach is not None for step in definition.steps),
        )

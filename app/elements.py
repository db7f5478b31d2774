"""Names of the tasks of one step that runs once for each element of a list: ``step[0]``, ..."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

MOST: Final = 10_000
"""Most elements of a step."""
STRIDE: Final = MOST + 1
"""From the place of one step to that of the next: behind each there is room for its elements."""

_NAME: Final = re.compile(r"([^\[\]]+)\[(0|[1-9][0-9]{0,8})\]")


def name_of(step: str, index: int) -> str:
    """Return the name of the task of an element.

    Args:
        step: The step.
        index: The place of the element in its list, from 0.
    """
    return f"{step}[{index}]"


def parts_of(task: str) -> tuple[str, int] | None:
    """Return the step and the index of an element; None of the name of any other task."""
    match = _NAME.fullmatch(task) if task.endswith("]") else None
    return (match[1], int(match[2])) if match else None


def by_step(tasks: Iterable[str]) -> Mapping[str, list[str]]:
    """Return the tasks of elements, by the step, where that is among the tasks as well."""
    names = list(tasks)
    found: dict[str, list[str]] = {}
    for name in names:
        if (parts := parts_of(name)) is not None:
            found.setdefault(parts[0], []).append(name)
    known = set(names) if found else set()
    return {step: elements for step, elements in found.items() if step in known}


def without_steps(tasks: Collection[str]) -> set[str]:
    """Leave out the steps whose elements are among the tasks: these say the same, and more."""
    return set(tasks) - by_step(tasks).keys()


def with_elements(wanted: Collection[str], tasks: Iterable[str]) -> set[str]:
    """Complete a choice of tasks, in which steps and elements belong together.

    A step stands for all of its elements where none of them is named, and an element is part of its
    step.

    Args:
        wanted: Names of tasks.
        tasks: Names of all tasks.
    """
    found = set(wanted)
    for step, elements in by_step(tasks).items():
        if not found.isdisjoint(elements):
            found.add(step)
        elif step in found:
            found.update(elements)
    return found

"""The graph of steps: which step waits for which."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

Needs = Mapping[str, Sequence[str]]
"""The steps that each step waits for directly; every step is a key."""


def topological_order(needs: Needs) -> list[str]:
    """Order the steps such that each stands behind those that it needs.

    Among the steps that could come next, the first of the mapping does; a mapping that is in such
    an order already keeps it.

    Raises:
        CycleError: Steps need each other; its second argument lists them, the first one twice.
    """
    names = list(needs)
    position = {name: index for index, name in enumerate(names)}
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    order: list[str] = []
    ready = [position[name] for name in sorter.get_ready()]
    heapq.heapify(ready)
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        sorter.done(name)
        for follower in sorter.get_ready():
            heapq.heappush(ready, position[follower])
    return order


def find_cycle(needs: Needs) -> list[str]:
    """Find steps that need each other.

    Returns:
        The steps, each needed by the next, and the first one again; empty if there are none.
    """
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as exc:
        return list(exc.args[1])
    return []


class Waiting:
    """Knows which steps begin only when others have ended, directly or through others.

    Building it takes one pass over the graph, and a bit of memory for each pair of steps.
    """

    def __init__(self, needs: Needs) -> None:
        self._bits = {name: 1 << index for index, name in enumerate(needs)}
        self._before: dict[str, int] = {}
        try:
            order = topological_order(needs)
        except CycleError:  # what waits for what makes no sense
            order = []
        for name in order:
            before = 0
            for need in needs[name]:
                before |= self._bits[need] | self._before[need]
            self._before[name] = before

    def waits_for(self, step: str, other: str) -> bool:
        """Return whether a step waits for another; of steps that need each other, all do."""
        return not self._before or bool(self._before[step] & self._bits[other])

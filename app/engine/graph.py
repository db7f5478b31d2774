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


def waits_for(needs: Needs, step: str, other: str) -> bool:
    """Tell whether a step begins only when another has ended, directly or through others."""
    seen = {step}
    queue = [step]
    for current in queue:  # grows while it is walked
        if other in needs[current]:
            return True
        new = [name for name in needs[current] if name not in seen]
        seen.update(new)
        queue.extend(new)
    return False

"""Which steps of a large graph are drawn as one: those that stand beside each other for the same.

A step that a thousand others wait for hides behind those. So steps that need the same fold into one
box; what needs all steps of such a box needs the box, and folds in turn.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

FOLDED_FROM: Final = 150
"""Steps of a graph from which it is folded."""
SMALLEST_FOLD: Final = 3
"""Steps of which one box is made; two take hardly more room than a fold that counts them."""

Needs = Sequence[Sequence[int]]
"""The steps that each step waits for, by their places; they make no circle."""


def layers_of(needs: Needs, order: Sequence[int]) -> list[int]:
    """Return the layer of each step: the longest way to it from a step that needs none.

    What needs nothing stands just before the first that needs it, and not far from it at the left.

    Args:
        needs: The graph.
        order: The steps, each behind those that it needs.
    """
    layers = [0] * len(needs)
    for step in order:
        layers[step] = max((layers[need] + 1 for need in needs[step]), default=0)
    first = dict[int, int]()
    for step, needed in enumerate(needs):
        for need in needed:
            first[need] = min(first.get(need, layers[step]), layers[step])
    for step, layer in first.items():
        if not needs[step]:
            layers[step] = layer - 1
    return layers


def in_order(needs: Sequence[Collection[int]]) -> tuple[list[int], list[list[int]]]:
    """Order the steps such that each stands behind those that it needs.

    What makes a circle, as an upstream might, is left out: the first step of it begins.

    Returns:
        The order, and what each step needs of those before it.
    """
    followers: list[list[int]] = [[] for _ in needs]
    waits = [0] * len(needs)
    for step, needed in enumerate(needs):
        for need in sorted({*needed} - {step}):
            followers[need].append(step)
            waits[step] += 1
    order: list[int] = []
    place: dict[int, int] = {}
    ready = [step for step, number in enumerate(waits) if not number]
    left = iter(range(len(needs)))
    while len(order) < len(needs):
        if not ready:
            ready.append(next(step for step in left if step not in place))
        for step in ready:
            place[step] = len(order)
            order.append(step)
        ready = _released(ready, followers, waits, place)
    kept = [
        sorted(need for need in {*needed} - {step} if place[need] < place[step])
        for step, needed in enumerate(needs)
    ]
    return order, kept


def _released(
    done: Sequence[int], followers: Needs, waits: list[int], place: Collection[int]
) -> list[int]:
    released = []
    for step in done:
        for follower in followers[step]:
            waits[follower] -= 1
            if not waits[follower] and follower not in place:
                released.append(follower)
    return sorted(released)


def folds_of(needs: Needs, layers: Sequence[int], opened: Collection[int] = ()) -> list[list[int]]:
    """Put the steps into boxes, most of them alone.

    Steps share a box if they need the same boxes. Of those that need nothing, only steps that are
    needed by the same share one: else a graph would begin with a box that says nothing.

    Args:
        needs: The graph.
        layers: See :func:`layers_of`.
        opened: Steps whose box is drawn as its steps.

    Returns:
        The boxes, by layer and then by their first step; each holds steps of one layer, so they
        make no circle either.
    """
    followers: list[list[int]] = [[] for _ in needs]
    for step, needed in enumerate(needs):
        for need in needed:
            followers[need].append(step)
    by_layer: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
    for step, layer in enumerate(layers):
        by_layer[layer].append(step)
    shown = frozenset(opened)
    boxes: list[list[int]] = []
    box_of: dict[int, int] = {}
    for beside in by_layer:
        alike: dict[tuple[int, ...], list[int]] = {}
        for step in beside:
            same = {box_of[need] for need in needs[step]} or {~each for each in followers[step]}
            alike.setdefault(tuple(sorted(same)), []).append(step)
        made: list[list[int]] = []
        for steps in alike.values():
            folds = len(steps) >= SMALLEST_FOLD and shown.isdisjoint(steps)
            made += [steps] if folds else [[step] for step in steps]
        for steps in sorted(made):
            box_of.update(dict.fromkeys(steps, len(boxes)))
            boxes.append(steps)
    return boxes

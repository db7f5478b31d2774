"""Graphs of steps that tests and benchmarks draw, by the places of what each step needs."""

from __future__ import annotations

import random

Needs = list[list[int]]


def chain(steps: int) -> Needs:
    """One step behind the other."""
    return [[step - 1] if step else [] for step in range(steps)]


def fan(siblings: int) -> Needs:
    """One step, many that need it, and one that needs them all."""
    return [[], *([0] for _ in range(siblings)), list(range(1, siblings + 1))]


def lattice(layers: int, width: int, lines: int, seed: int = 1) -> Needs:
    """Layers of equally many steps, joined at random to the layer before."""
    chosen = random.Random(seed)
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < lines:
        layer = chosen.randrange(1, layers)
        before = (layer - 1) * width + chosen.randrange(width)
        pairs.add((layer * width + chosen.randrange(width), before))
    return _joined(layers * width, pairs)


def tangle(steps: int, lines: int, seed: int = 1) -> Needs:
    """Steps that need any of those before them, most across many layers."""
    chosen = random.Random(seed)
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < lines:
        step = chosen.randrange(1, steps)
        pairs.add((step, chosen.randrange(step)))
    return _joined(steps, pairs)


def strands(number: int, length: int) -> Needs:
    """Chains beside each other."""
    return [[step - number] if step >= number else [] for step in range(number * length)]


def collected(steps: int) -> Needs:
    """A chain, and a last step that needs each of it."""
    return [*chain(steps - 1), list(range(steps - 1))]


def _joined(steps: int, pairs: set[tuple[int, int]]) -> Needs:
    needs: Needs = [[] for _ in range(steps)]
    for step, need in sorted(pairs):
        needs[step].append(need)
    return needs

"""What it takes to lay graphs out, in ms of the processor, in the process that does it."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter

from app.services.graph_layout import laid_out
from bench._report import Figure
from tests.kit.graphs import Needs, chain, collected, fan, lattice, strands, tangle

_CASES: tuple[tuple[str, Needs, float], ...] = (
    ("chain of 500", chain(500), 20),
    ("1-498-1", fan(498), 20),
    ("25 x 20, 1,196 lines", lattice(25, 20, 1196), 25),
    ("10 x 49", strands(10, 49), 20),
    ("500 at random, 1,196 long lines", tangle(500, 1196), 80),
    ("500, the last of which needs all", collected(500), 150),
    ("10,000 steps in three boxes", fan(9998), 100),
    ("10,000 steps, refused", strands(100, 100), 100),
)


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    times = 5 if quick else 25
    for name, needs, most in _CASES:
        work = json.dumps([needs, [], True]).encode()
        spent, floor = (
            _spent(lambda work=work: laid_out(work), times),
            _spent(_sorted(needs), times),
        )
        yield Figure(
            f"layout of a graph, {name}", spent, "ms", most=most,
            ratio=spent / floor, beside="graphlib, which only sorts it",
            note=f"{len(laid_out(work)) / 1e3:.0f} KB",
        )  # fmt: skip


def _sorted(needs: Needs) -> Callable[[], object]:
    by_step = dict(enumerate(needs))
    return lambda: [*TopologicalSorter(by_step).static_order()]


def _spent(work: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return statistics.median(taken) * 1000

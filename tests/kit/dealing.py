"""The order in which several workers of pytest-xdist take the tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

QUICK = Path(__file__).parents[1] / "unit"


def dealt(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Put tests into an order for ``--dist worksteal``.

    That gives each worker a stretch of the tests, all of about one length, and lets who is done
    take from the end of another's stretch. So each stretch begins with whole files of those tests
    that start services and wait for them, and ends with unit tests: these keep the cores busy
    meanwhile, need no service where they are taken to, and none of them takes long at the end.

    Args:
        items: All tests.
        workers: How many workers there are.
    """
    quick = [item for item in items if item.path.is_relative_to(QUICK)]
    slow = _files(item for item in items if not item.path.is_relative_to(QUICK))
    hands: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for number, file in enumerate(slow):
        hands[number % workers] += file
    order: list[pytest.Item] = []
    for number, hand in enumerate(hands):
        stretch = (len(items) - len(order)) // (workers - number)
        rest = max(0, stretch - len(hand))
        order += hand + quick[:rest]
        del quick[:rest]
    return order + quick


def _files(items: Iterable[pytest.Item]) -> list[list[pytest.Item]]:
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    return list(files.values())

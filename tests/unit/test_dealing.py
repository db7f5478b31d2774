"""The order in which several workers take the tests of this very suite."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from kit.dealing import QUICK, dealt


def items_of(folder: Path, files: int, each: int) -> list[SimpleNamespace]:
    paths = [folder / f"test_{file}.py" for file in range(files)]
    return [SimpleNamespace(path=path) for path in paths for _ in range(each)]


def stretches(order: list[SimpleNamespace], workers: int) -> list[list[SimpleNamespace]]:
    """What pytest-xdist gives to each worker at first."""
    given: list[list[SimpleNamespace]] = []
    rest = order
    for left in range(workers, 0, -1):
        given.append(rest[: len(rest) // left])
        rest = rest[len(given[-1]) :]
    return given


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize(("slow", "quick"), [(7, 50), (7, 0), (0, 50), (7, 1), (8, 50)])
def test_each_is_dealt_once(workers, slow, quick):
    items = items_of(QUICK, quick, 4) + items_of(QUICK.parent / "e2e", slow, 5)
    assert sorted(map(id, dealt(items, workers))) == sorted(map(id, items))


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_each_worker_has_some_of_the_slow_files_whole_and_before_the_others(workers):
    items = items_of(QUICK, 50, 4) + items_of(QUICK.parent / "e2e", 8, 5)
    given = stretches(dealt(items, workers), workers)
    for stretch in given:
        slow = [item.path for item in stretch if item.path.parent != QUICK]
        assert slow == [item.path for item in stretch[: len(slow)]]
        assert len(slow) == 5 * len(set(slow)) >= 5 * (8 // workers)

"""Waiting in tests: as long as a slow and busy machine may need, and no longer than necessary."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from app.store.changes import Changes

T = TypeVar("T")

PATIENCE_SECONDS = 240.0
"""For what surely comes, on a machine with nothing else to do and on any other.

It is below the time that a test may take, so that the test itself says what did not come.
"""
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _GROWTH = 0.02, 0.06, 0.04
"""Between two looks: who has waited for long can wait a little longer, and leave the cores to what
is waited for."""


def await_that(
    condition: Callable[[], T], what: str = "it happens", seconds: float = PATIENCE_SECONDS
) -> T:
    """Wait until something is true, and return it.

    Raises:
        AssertionError: It did not become true.
    """
    begun = time.monotonic()
    while not (found := condition()):
        waited = time.monotonic() - begun
        assert waited < seconds, f"{what}: not within {seconds} s"
        time.sleep(min(_PAUSE_SECONDS + _GROWTH * waited, _LONGEST_PAUSE_SECONDS))
    return found


def held(changes: Changes) -> int:
    """Count the readers that stand in line: what they wait for was not there when they read.

    Those who have subscribed and are still to read may find it, and then never wait.
    """
    with changes._lock:
        return sum(block.waiting for topic in changes._topics.values() for block in topic.blocks)


def join(*threads: threading.Thread) -> None:
    """Wait for the end of threads.

    Raises:
        AssertionError: One of them does not end.
    """
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), f"{thread.name} does not end"


def in_time(function: Callable[[], T]) -> T:
    """Call a function that must come back, one way or the other, in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(PATIENCE_SECONDS)

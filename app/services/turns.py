"""Turns: whoever reads much lets everybody else act after each few milliseconds of work.

All requests of a web process share one event loop. It does not help that each reader of a long log
pauses after each piece where two hundred do so: their pauses end together, and their pieces are
worked off one after the other before the loop looks at a socket again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from app.concurrency import FairPlaces

Turn = Callable[[], AbstractContextManager[None]]
"""Takes a turn for one piece of work, which must be short and must not wait for anything."""

_WORK_SECONDS = 0.002
"""After so much work the loop has time for everything else."""
_WRITE_SECONDS = 0.0001
"""What a turn costs beside its own time: its outcome is written to a socket afterwards."""

_ANSWER_SECONDS = 0.0005
"""About what it takes to answer a request that is refused."""

# Not 0: the hub would run further readers before it looks at sockets again.
_PAUSE_SECONDS = 0.0005


class Turns:
    """One gate through which pieces of work go one at a time, with pauses between them.

    After each few milliseconds of work, whoever did it, nothing goes through until the loop has had
    time for everything else. Those who wait are let through by owner, round robin, so that the many
    streams of one user have one turn where the single stream of another has one.
    """

    def __init__(self) -> None:
        self._gate = FairPlaces(1, waiting=None)
        self._worked_seconds = 0.0

    @contextmanager
    def turn(self, owner: str) -> Iterator[None]:
        """Wait for a turn, and have it for the time of the block.

        Args:
            owner: Whose work it is.
        """
        with self._gate.place(owner):
            begin = time.perf_counter()
            try:
                yield
            finally:
                self._pause_after(time.perf_counter() - begin)

    def let_others_go_first(self, owner: str) -> None:
        """Wait for a turn, in which nothing is done but to let the loop look at its sockets.

        What the caller does next, without waiting for anything, is done by one caller at a time,
        however many there are.

        Args:
            owner: Who made the caller do it.
        """
        with self._gate.place(owner):
            self._pause_after(_ANSWER_SECONDS)

    def _pause_after(self, seconds: float) -> None:
        """Count work; the turn is held, and so is everybody who waits for one."""
        self._worked_seconds += seconds + _WRITE_SECONDS
        if self._worked_seconds >= _WORK_SECONDS:
            self._worked_seconds = 0.0
            time.sleep(_PAUSE_SECONDS)

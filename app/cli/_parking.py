"""Parking: connections whose answers are idle wait for what comes next without a greenlet.

A greenlet costs some 15 KiB, and a switch to it much of what it takes to tell one of ten thousand
followers of one line. Here a connection is one entry in the line for a change, and one in a wheel
of times. When its turn has come, a greenlet that is shared goes on with it as far as it gets
without waiting. Where it must wait (for a client that does not read, or for its turn), it keeps
that greenlet, and the others go on in another one.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

import gevent
from gevent.event import Event

TICK_SECONDS = 0.05
"""How exactly times are kept."""
LEAST_SECONDS = 2 * TICK_SECONDS
"""A shorter wait is not worth parking."""

_STEPS = 64
# Not 0: the hub would go on with callbacks before it looks at sockets again.
_PAUSE_SECONDS = 0.001


class Parked(Protocol):
    """What can be parked."""

    def wake(self) -> None:
        """Call :meth:`Parking.wake`, once however many reasons there are."""

    def step(self) -> None:
        """Go on, until there is nothing to do again."""


class Parking:
    """Goes on with those that are parked when they are woken, or when their time is over."""

    def __init__(self) -> None:
        self._woken: deque[Parked] = deque()
        self._bell = Event()
        self._wheel: dict[int, dict[Parked, None]] = {}
        self._next = 0
        self._filled = Event()

    def start(self) -> None:
        """Begin to work."""
        gevent.spawn(self._go_on)
        gevent.spawn(self._turn)

    def enter(self, parked: Parked, seconds: float) -> int:
        """Park until somebody wakes it, or for so long.

        Returns:
            The place in the wheel, for :meth:`leave`.
        """
        tick = self._now() + 1 + round(seconds / TICK_SECONDS)
        self._wheel.setdefault(tick, {})[parked] = None
        self._filled.set()
        return tick

    def leave(self, parked: Parked, tick: int) -> None:
        """Take out of the wheel what is not parked any more."""
        same = self._wheel.get(tick)
        if same is not None:
            same.pop(parked, None)

    def wake(self, parked: Parked) -> None:
        """Have a step made soon."""
        self._woken.append(parked)
        self._bell.set()

    def _go_on(self) -> None:
        while True:
            self._bell.wait()
            self._bell.clear()
            while self._woken:
                some = deque(self._woken.popleft() for _ in range(min(_STEPS, len(self._woken))))
                while some:
                    gevent.spawn(_make_steps, some)
                    gevent.sleep(0)
                    # What is left is behind one that waits, which must not get it afterwards.
                    some = _taken(some)
                gevent.sleep(_PAUSE_SECONDS)

    def _turn(self) -> None:
        while True:
            if not self._wheel:
                self._filled.clear()
                self._filled.wait()
                self._next = self._now()
            while self._next <= self._now():
                for parked in self._wheel.pop(self._next, ()):
                    parked.wake()
                self._next += 1
            gevent.sleep(TICK_SECONDS)

    @staticmethod
    def _now() -> int:
        return int(time.monotonic() / TICK_SECONDS)


def _make_steps(some: deque[Parked]) -> None:
    while some:
        some.popleft().step()


def _taken(some: deque[Parked]) -> deque[Parked]:
    """Take what is left from the greenlet that has it."""
    rest = deque(some)
    some.clear()
    return rest

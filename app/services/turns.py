"""Turns: whoever reads much lets everybody else act after each few milliseconds of work.

All requests of a web process share one event loop. It does not help that each reader of a long log
pauses after each piece where two hundred do so: their pauses end together, and their pieces are
worked off one after the other before the loop looks at a socket again.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Event, Lock

Turn = Callable[[], AbstractContextManager[None]]
"""Takes a turn for one piece of work, which must be short and must not wait for anything."""

_WORK_SECONDS = 0.002
_WRITE_SECONDS = 0.0001
"""What a turn costs beside its own time: its outcome is written to a socket afterwards."""

# Not 0: the hub would run further readers before it looks at sockets again.
_PAUSE_SECONDS = 0.0005


class Turns:
    """One gate through which pieces of work go one at a time, with pauses between them.

    After each few milliseconds of work, whoever did it, nothing goes through until the loop has had
    time for everything else. Those who wait are let through by owner, round robin, so that the many
    streams of one user have one turn where the single stream of another has one.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._worked_seconds = 0.0
        self._waiting: OrderedDict[str, deque[Event]] = OrderedDict()

    @contextmanager
    def turn(self, owner: str) -> Iterator[None]:
        """Wait for a turn, and have it for the time of the block.

        Args:
            owner: Whose work it is.
        """
        self._take(owner)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._give_back(time.perf_counter() - begin)

    def _take(self, owner: str) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            called = Event()
            self._waiting.setdefault(owner, deque()).append(called)
        try:
            called.wait()
        except BaseException:  # the client hung up meanwhile
            self._leave(owner, called)
            raise

    def _leave(self, owner: str, called: Event) -> None:
        with self._lock:
            queue = self._waiting.get(owner)
            if queue is not None and called in queue:
                queue.remove(called)
                if not queue:
                    del self._waiting[owner]
                return
        self._call_next()

    def _give_back(self, seconds: float) -> None:
        try:
            self._worked_seconds += seconds + _WRITE_SECONDS
            if self._worked_seconds >= _WORK_SECONDS:
                self._worked_seconds = 0.0
                time.sleep(_PAUSE_SECONDS)
        finally:
            self._call_next()

    def _call_next(self) -> None:
        """Give the turn to the first caller of the next owner; owners go round robin."""
        with self._lock:
            if not self._waiting:
                self._taken = False
                return
            owner, queue = self._waiting.popitem(last=False)
            called = queue.popleft()
            if queue:
                self._waiting[owner] = queue
        called.set()

"""Running blocking work so that it stalls nobody, with and without gevent.

The web processes are patched by gevent: there, whatever holds the processor or waits for a lock in
C code must run in a real thread, and not in the hub's own pool, which also resolves host names. The
conductor and the tools are plain threaded programs, where a call is simply made.
"""

from __future__ import annotations

import os
import sys
import threading
from _thread import get_native_id  # the calling thread's own, also under gevent
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from app.errors import LimitExceeded

P = ParamSpec("P")
T = TypeVar("T")

_MODEST = 5
_NICEST = 19


class Pool(Protocol):
    """Runs one call and gives its result, or raises what it raised."""

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call; the caller waits, others do not."""


class _Inline:
    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)


class _GeventPool:
    def __init__(self, size: int, modest: bool) -> None:
        from gevent.threadpool import ThreadPool  # noqa: PLC0415  (needs a patched process)

        self._pool = ThreadPool(size)
        self._call = _caught_modestly if modest else _caught

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        # The pool prints what a call raises; only its caller knows whether that is worth a word.
        result, error = self._pool.apply(self._call, (function, args, kwargs))
        if error is not None:
            raise error
        return cast(T, result)


def _caught(
    function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[T | None, BaseException | None]:
    try:
        return function(*args, **kwargs), None
    except BaseException as exc:  # noqa: BLE001  (it is raised again in the caller)
        return None, exc


def _caught_modestly(*call: Any) -> tuple[Any, BaseException | None]:
    """Give way to the event loop: on Linux a thread has a nice value of its own (sched(7)).

    It is never lowered, which only root may do, whatever the process was started with.
    """
    thread = get_native_id()
    wanted = min(_NICEST, os.getpriority(os.PRIO_PROCESS, os.getpid()) + _MODEST)
    if os.getpriority(os.PRIO_PROCESS, thread) < wanted:
        os.setpriority(os.PRIO_PROCESS, thread, wanted)
    return _caught(*call)


def cooperative() -> bool:
    """Return whether this process is patched by gevent."""
    monkey = sys.modules.get("gevent.monkey")  # who has not imported it has not been patched
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def original(module: str, name: str) -> Any:
    """Return what a module of the standard library holds under a name, as if gevent had not been.

    Other processes than the web processes do without gevent, which is large.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None:
        return getattr(import_module(module), name)
    return monkey.get_original(module, name)


def make_pool(size: int, *, modest: bool = False) -> Pool:
    """Make a pool of so many real threads; without gevent, calls run where they are made.

    Args:
        size: Number of threads.
        modest: They have the processor when nothing else wants it: for what computes long, outside
            of Python's own lock.
    """
    return _GeventPool(size, modest) if cooperative() else _Inline()


class FairPlaces:
    """Hands out places to those who wait for one, in turns by owner.

    Whoever asks for many waits behind whoever asks for one, and never holds the last place. What
    one owner asks for may come from several sides, which have turns among themselves.

    Args:
        places: How many may hold one at the same time.
        waiting: Most callers of one side of one owner that may wait; None for any number.
        sides: Most sides of one owner of which callers may wait.
    """

    def __init__(self, places: int, waiting: int | None, sides: int = 32) -> None:
        self._free = places
        self._each = max(1, places - 1)
        self._most_waiting = waiting
        self._most_sides = sides
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._queues: dict[str, dict[str, deque[threading.Event]]] = {}

    @contextmanager
    def place(self, owner: str, side: str = "") -> Iterator[None]:
        """Wait for a place, and hold it.

        Raises:
            LimitExceeded: Too many calls of this owner wait already.
        """
        self._take(owner, side)
        try:
            yield
        finally:
            with self._lock:
                self._give_back(owner)

    def _take(self, owner: str, side: str) -> None:
        with self._lock:
            if self._free and not self._queues and self._held[owner] < self._each:
                self._free -= 1
                self._held[owner] += 1
                return
            granted = threading.Event()
            self._queue_up(owner, side, granted)
            self._grant()
        try:
            granted.wait()
        except BaseException:  # the caller was ended while it waited
            with self._lock:
                if granted.is_set():
                    self._give_back(owner)
                else:
                    self._queues[owner][side].remove(granted)
                    self._tidy(owner, side)
            raise

    def _give_back(self, owner: str) -> None:
        """Take a place back, for others; the lock is held."""
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._free += 1
        if owner in self._queues:  # they had their turn, whenever they came back
            self._queues[owner] = self._queues.pop(owner)
        self._grant()

    def _queue_up(self, owner: str, side: str, granted: threading.Event) -> None:
        sides = self._queues.get(owner, {})
        most = self._most_waiting
        full = most is not None and len(sides.get(side, ())) >= most
        if full or (side not in sides and len(sides) >= self._most_sides):
            text = "Too many of your requests wait already; try again when they are done."
            raise LimitExceeded(text, retry_after_seconds=5)
        self._queues.setdefault(owner, {}).setdefault(side, deque()).append(granted)

    def _grant(self) -> None:
        """Hand out the free places to those whose turn it is; the lock is held."""
        for owner in list(self._queues):
            if not self._free:
                return
            if self._held[owner] < self._each:
                self._free -= 1
                self._held[owner] += 1
                # Who got one goes behind all others, and their side behind their other sides.
                sides = self._queues[owner] = self._queues.pop(owner)
                side, queue = next(iter(sides.items()))
                queue.popleft().set()
                sides[side] = sides.pop(side)
                self._tidy(owner, side)

    def _tidy(self, owner: str, side: str) -> None:
        sides = self._queues[owner]
        if not sides[side]:
            del sides[side]
        if not sides:
            del self._queues[owner]


class Precedence:
    """Decides who goes where some go before others: of four in a row one is one of the others.

    It is not safe for threads; its callers have a lock.
    """

    _FIRST_IN_A_ROW = 3

    def __init__(self) -> None:
        self._in_a_row = 0

    def is_for_first(self, first: bool, other: bool) -> bool:
        """Return whether one of those that go first is next.

        Args:
            first: There is such a one.
            other: There is one of the others.
        """
        return first and not (other and self._in_a_row >= self._FIRST_IN_A_ROW)

    def went(self, first: bool) -> None:
        """Note who went: one of those that go first, or one of the others."""
        self._in_a_row = self._in_a_row + 1 if first else 0


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Give a block of code so much time; without gevent it takes what it takes.

    It ends wherever the block waits, be it for a name server or for a place in a pool.

    Raises:
        TimeoutError: The time is over.
    """
    if not cooperative():
        yield
        return
    from gevent import Timeout  # noqa: PLC0415  (needs a patched process)

    with Timeout(seconds, TimeoutError(f"no answer within {seconds:g} s")):
        yield

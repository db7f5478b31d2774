"""Keeping what was made, within a bound of memory, and making once what many want at a time."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def weight(value: object) -> int:
    """Estimate the bytes that a value takes, with all that it is made of.

    It looks into mappings, sequences and dataclasses. What a value holds twice is counted twice.
    """
    total = 0
    unseen = [value]
    while unseen:
        each = unseen.pop()
        total += sys.getsizeof(each)
        if isinstance(each, str | bytes):
            continue
        if isinstance(each, Mapping):
            unseen += each.keys()
            unseen += each.values()
        elif isinstance(each, Sequence | Set):
            unseen += each
        elif dataclasses.is_dataclass(each):
            unseen += (getattr(each, field.name) for field in dataclasses.fields(each))
    return total


class LruCache(Generic[K, V]):
    """Values by key, as many as fit into a bound; what was not used for longest makes room.

    Args:
        max_bytes: Most bytes of all values together. The newest is kept however large it is.
        weigh: Gives the bytes of a value.
    """

    def __init__(self, max_bytes: int, weigh: Callable[[V], int] = weight) -> None:
        self._max_bytes = max_bytes
        self._weigh = weigh
        self._lock = threading.Lock()
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Give the number of values that are kept."""
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes of the values that are kept."""
        return self._bytes

    def get(self, key: K) -> V | None:
        """Give the value of a key, if it is kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def put(self, key: K, value: V) -> None:
        """Keep a value."""
        size = self._weigh(value) + sys.getsizeof(key)
        with self._lock:
            self._drop(key)
            self._kept[key] = value, size
            self._bytes += size
            while self._bytes > self._max_bytes and len(self._kept) > 1:
                self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        """Keep nothing any more."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _drop(self, key: K) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped[1]


class SingleFlight(Generic[K, V]):
    """Makes a call once for all threads that want it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[K, Future[V]] = {}

    def busy(self, key: K) -> bool:
        """Tell whether the call for a key is under way."""
        return key in self._running

    def do(self, key: K, function: Callable[[], V]) -> V:
        """Call the function, or wait for the call with the same key that is under way.

        Raises:
            Exception: Whatever the call raised, in every thread that shares it.
        """
        while True:
            with self._lock:
                running = self._running.get(key)
                if running is None:
                    mine = self._running[key] = Future()
            if running is None:
                return self._lead(key, mine, function)
            try:
                return running.result()
            except CancelledError:  # its thread was interrupted, which is not our failure
                continue

    def _lead(self, key: K, mine: Future[V], function: Callable[[], V]) -> V:
        try:
            result = function()
        except BaseException as exc:
            self._forget(key)
            if isinstance(exc, Exception):
                mine.set_exception(exc)
            else:
                mine.cancel()
            raise
        self._forget(key)
        mine.set_result(result)
        return result

    def _forget(self, key: K) -> None:
        with self._lock:
            del self._running[key]


class Shared(Generic[K, V]):
    """What is made once for all who ask for the same, and kept while there is room.

    Args:
        make: Makes the value of a key; the same key always stands for the same.
        max_bytes: Most bytes of all that is kept.
        weigh: Gives the bytes of a value.
    """

    def __init__(
        self, make: Callable[[K], V], max_bytes: int, weigh: Callable[[V], int] = weight
    ) -> None:
        self._make = make
        self._kept: LruCache[K, V] = LruCache(max_bytes, weigh)
        self._flights: SingleFlight[K, V] = SingleFlight()

    def get(self, key: K) -> V:
        """Give the value of a key.

        Raises:
            Exception: Whatever making it raised.
        """
        found = self._kept.get(key)
        return self._flights.do(key, lambda: self._made(key)) if found is None else found

    def _made(self, key: K) -> V:
        found: Any = self._kept.get(key)  # another one has just made it
        if found is None:
            found = self._make(key)
            self._kept.put(key, found)
        made: V = found
        return made

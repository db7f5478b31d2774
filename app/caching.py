"""The shared reads: what many ask for is read once, and kept within a bound of memory.

Everything that is read for more than one caller goes through :class:`SharedReads` (until something
tells that it changed; see ``docs/decisions`` on what an answer may hold) or, where an upstream is
asked, which tells nothing, :class:`UpstreamReads` (for a time).
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from concurrent.futures import CancelledError, Future
from typing import Generic, Protocol, TypeVar

import structlog

from app.errors import UpstreamError
from app.memory import UPSTREAM_BYTES

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 5.0
"""How soon an upstream is asked again that did not answer."""

_READ_BYTES = 500
"""What is kept beside a value: its key, when it was read, its place in the order."""

_moments = itertools.count(1)
"""Numbers the beginnings of requests and of reads, so that it can be told which came first."""

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
        """Return the number of values that are kept."""
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes of the values that are kept."""
        return self._bytes

    def get(self, key: K) -> V | None:
        """Return the value of a key, if it is kept."""
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

    def take(self, key: K) -> V | None:
        """Return the value of a key, if it is kept, and keep it no longer."""
        with self._lock:
            return self._drop(key)

    def drop(self, key: K) -> None:
        """Keep the value of a key no longer."""
        self.take(key)

    def clear(self) -> None:
        """Keep nothing any more."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _drop(self, key: K) -> V | None:
        dropped = self._kept.pop(key, None)
        if dropped is None:
            return None
        self._bytes -= dropped[1]
        return dropped[0]


class _Flight(Future[V]):
    """A call that is under way.

    Attributes:
        begun: Number of the moment when it began.
    """

    def __init__(self) -> None:
        super().__init__()
        self.begun = next(_moments)


class SingleFlight(Generic[K, V]):
    """Makes a call once for all threads that want it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[K, _Flight[V]] = {}

    def busy(self, key: K) -> bool:
        """Return whether the call for a key is under way."""
        return key in self._running

    def do(self, key: K, function: Callable[[], V], *, since: int = 0) -> V:
        """Call the function, or wait for the call with the same key that is under way.

        Args:
            key: What the call is for.
            function: The call.
            since: A number of ``_moments``: of calls that began before it the outcome is not taken,
                but they are waited for, so that those who wait meanwhile share the next.

        Raises:
            Exception: Whatever the call raised, in every thread that shares it.
        """
        while True:
            with self._lock:
                running = self._running.get(key)
                if running is None:
                    mine = self._running[key] = _Flight()
            if running is None:
                return self._lead(key, mine, function)
            if running.begun > since:
                try:
                    return running.result()
                except CancelledError:  # its thread was interrupted, which is not our failure
                    continue
            with contextlib.suppress(Exception, CancelledError):
                running.result()

    def _lead(self, key: K, mine: _Flight[V], function: Callable[[], V]) -> V:
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


class ChangeNews(Protocol):
    """What tells that something was changed: the change feed of a store."""

    def prove(self) -> bool:
        """Make sure that all changes of before this call are told.

        Returns:
            False when nobody can say so now.
        """

    def stamp(self, topic: str) -> Hashable:
        """Return a value that is another one once a change of a topic was told."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Read(Generic[V]):
    """What was read.

    Attributes:
        begun: Number of the moment when its reading began.
        stamp: The stamp of its topic at that moment.
    """

    value: V
    begun: int
    stamp: Hashable


class SharedReads(Generic[K, V]):
    """Reads once for all who ask for the same, and keeps it while there is room.

    Without news, a key always stands for the same value, which is kept. With news, a value is kept
    until a change is told. While nobody can say whether all changes were told, a caller gets only
    what is read after their call began; those who wait for the same share that one reading.

    Args:
        read: Reads the value of a key. What it raises is raised in all who share the reading, and
            not kept.
        max_bytes: Most bytes of all that is kept.
        weigh: Returns the bytes of a value.
        news: Tells of changes.
        topic: Returns the topic of a key, of which changes are told.
    """

    def __init__(
        self,
        read: Callable[[K], V],
        max_bytes: int,
        *,
        weigh: Callable[[V], int] = weight,
        news: ChangeNews | None = None,
        topic: Callable[[K], str] = str,
    ) -> None:
        self._read = read
        self._news = news
        self._topic = topic
        self._kept: LruCache[K, _Read[V]] = LruCache(
            max_bytes, lambda each: weigh(each.value) + _READ_BYTES
        )
        self._flights: SingleFlight[tuple[K, Hashable], V] = SingleFlight()

    def get(self, key: K) -> V:
        """Return the value of a key as it is at some moment after this call began.

        Raises:
            Exception: Whatever reading it raised.
        """
        called = next(_moments)
        if self._news is None or self._news.prove():
            return self.latest(key)
        return self._get(key, called)

    def latest(self, key: K) -> V:
        """Return a value of a key that is as new as all changes that were told.

        This is for those who were woken by a change, or have called :meth:`get` for something else
        of the same topic: it costs no look at whether all changes were told.

        Raises:
            Exception: Whatever reading it raised.
        """
        return self._get(key, 0)

    def _get(self, key: K, since: int) -> V:
        stamp = 0 if self._news is None else self._news.stamp(self._topic(key))
        found = self._good(key, stamp, since)
        if found is not None:
            return found.value
        return self._flights.do((key, stamp), lambda: self._fetch(key, stamp, since), since=since)

    def _good(self, key: K, stamp: Hashable, since: int) -> _Read[V] | None:
        kept = self._kept.get(key)
        return kept if kept and kept.stamp == stamp and kept.begun > since else None

    def _fetch(self, key: K, stamp: Hashable, since: int) -> V:
        found = self._good(key, stamp, since)  # another one has just read it
        if found is None:
            # Stamped before it is read: what changes meanwhile makes it outdated, never unnoticed.
            found = _Read(begun=next(_moments), value=self._read(key), stamp=stamp)
            self._kept.put(key, found)
        return found.value


@dataclasses.dataclass(frozen=True, slots=True)
class Answer(Generic[V]):
    """What an upstream answered.

    Attributes:
        refresh_at: When to ask again, on the clock of the reads.
        stale: The last attempt to ask again failed.
    """

    value: V
    refresh_at: float
    stale: bool = False


class UpstreamReads(Generic[K, V]):
    """Keeps answers of an upstream for a time, and goes on serving them while it is down.

    Args:
        ttl_seconds: How long an answer is good for.
        max_bytes: Most bytes of all answers; what was not asked for longest makes room.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        ttl_seconds: float,
        *,
        max_bytes: int = UPSTREAM_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._kept: LruCache[K, Answer[V]] = LruCache(max_bytes)
        self._flights: SingleFlight[K, Answer[V]] = SingleFlight()

    def get(self, key: K, ask: Callable[[], V]) -> Answer[V]:
        """Return the answer for a key, asking for it where that is due.

        While one thread asks again, the others get the old answer at once.

        Raises:
            UpstreamError: Asking failed, and there is no old answer.
        """
        kept = self._kept.get(key)
        if kept is not None and (self._clock() < kept.refresh_at or self._flights.busy(key)):
            return kept
        return self._flights.do(key, lambda: self._ask(key, ask))

    def is_fresh(self, key: K) -> bool:
        """Return whether there is an answer for a key that is not out of date."""
        kept = self._kept.get(key)
        return kept is not None and self._clock() < kept.refresh_at

    def expire(self, key: K) -> None:
        """Mark an answer as out of date: the next call asks again; it stands in if that fails."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.put(key, dataclasses.replace(kept, refresh_at=self._clock()))

    def forget(self, key: K) -> None:
        """Drop the answer for a key."""
        self._kept.drop(key)

    def renew(self, key: K, ask: Callable[[], V]) -> Answer[V]:
        """Ask again, however good the answer still is; see :meth:`get`."""
        self.expire(key)
        return self.get(key, ask)

    def known(self, key: K) -> Answer[V] | None:
        """Return the last answer, however old, and whether asking again failed since."""
        return self._kept.get(key)

    def peek(self, key: K) -> V | None:
        """Return the last answer, however old."""
        kept = self._kept.get(key)
        return None if kept is None else kept.value

    def _ask(self, key: K, ask: Callable[[], V]) -> Answer[V]:
        old = self._kept.get(key)
        now = self._clock()
        if old is not None and now < old.refresh_at:  # another thread has just been here
            return old
        try:
            answer = Answer(ask(), self._clock() + self._ttl_seconds)
        except UpstreamError as exc:
            if old is None:
                raise
            log.warning("old answer served", key=str(key), error=exc.message, detail=exc.detail)
            answer = Answer(old.value, now + _RETRY_SECONDS, stale=True)
        self._kept.put(key, answer)
        return answer

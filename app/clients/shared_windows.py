"""Counters that several processes share, in Redis or Valkey.

A script on the server looks at all counters of a request in one round trip, counts all or none, and
counts nothing for a request that has long gone on without it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import structlog
from redis import BlockingConnectionPool, Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.concurrency import at_most
from app.windows import WINDOW_SECONDS, Demand, Taken, Window

log = structlog.get_logger(__name__)

T = TypeVar("T")

_ANSWER_SECONDS: Final = 0.25
"""What a request loses at the most, with looking up the name and connecting."""
_LATE_SECONDS: Final = 0.2
"""A request is not counted any more after so long: the answer would come when it has gone on."""
_PROBE_SECONDS: Final = 1.0
"""How often a server that failed is asked whether it works again."""
_CONNECTIONS: Final = 32
_PREFIX: Final = "slipway"
_LATE: Final = -1
_SCHEMES: Final = {
    "valkey": "redis", "valkeys": "rediss", "redis+unix": "unix", "valkey+unix": "unix",
}  # fmt: skip
"""Both servers speak the same protocol, so the client of one does for both."""

# KEYS: the counters. ARGV: until when this may be counted, and the length of a window, in ms of the
# server's clock; then limit and cost of each counter. It computes as app.windows does.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local late, length = tonumber(ARGV[1]), tonumber(ARGV[2])
if late > 0 and now > late then return {-1, now} end
local counters, granted = {}, 1
for i, key in ipairs(KEYS) do
  local limit, cost = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local known = redis.call('HMGET', key, 'previous', 'current', 'ends')
  local previous, current = tonumber(known[1]) or 0, tonumber(known[2]) or 0
  local ends = math.min(tonumber(known[3]) or now, now + length)
  if now >= ends then
    if now < ends + length then previous, current = current, 0 else previous, current = 0, 0 end
    ends = ends + length
  end
  local weighed = previous > 0 and math.floor(previous * (ends - now) / length) or 0
  if current == 0 and weighed == 0 then previous, ends = 0, now + length end
  if weighed + current + cost > limit then granted = 0 end
  counters[i] = {previous, current, ends, cost}
end
local answer = {granted, now}
for i, key in ipairs(KEYS) do
  local previous, current, ends, cost = unpack(counters[i])
  if granted == 1 then
    current = current + cost
    redis.call('HSET', key, 'previous', previous, 'current', current, 'ends', ends)
    redis.call('PEXPIRE', key, ends - now + length)
  end
  answer[#answer + 1] = previous
  answer[#answer + 1] = current
  answer[#answer + 1] = ends - now
end
return answer
"""


class _Late(Exception):
    """The server's clock is further on than it can be; it was set, or the server stood still."""


class _ServerClock:
    """How far the clock of the server is ahead of that of this process.

    An answer holds the server's time of a moment between the question and the answer. So each tells
    the least and the most that it can be; of the least the greatest is true, however late an answer
    was read, until one tells that the clock was set back.
    """

    def __init__(self) -> None:
        self._ahead_ms = -math.inf

    @property
    def is_known(self) -> bool:
        """Whether there was an answer."""
        return self._ahead_ms > -math.inf

    def forget(self) -> None:
        """Believe nothing of what was learnt."""
        self._ahead_ms = -math.inf

    def learn(self, told_ms: float, asked: float) -> None:
        """Take note of an answer that has just come.

        Args:
            told_ms: The server's time.
            asked: When it was asked, in seconds of this process's clock.
        """
        least = told_ms - time.monotonic() * 1000
        if told_ms - asked * 1000 < self._ahead_ms - 1:  # it tells whole milliseconds
            self._ahead_ms = least
        self._ahead_ms = max(self._ahead_ms, least)

    def at(self, moment: float) -> float:
        """Return what the server's clock shows, or a little less, at a moment of ours, in ms."""
        return moment * 1000 + self._ahead_ms


class SharedWindows:
    """Counters in sliding windows that several processes share.

    When the server does not answer, nobody waits for it any more: it is asked once a second whether
    it can count again, which is also not so while it is a replica or has no memory left.

    Args:
        url: Where it is, such as ``redis://:password@host:6379/0``.
        told: Is told whether the server can be used, whenever that changes.
    """

    def __init__(self, url: str, told: Callable[[bool], None]) -> None:
        scheme, _, rest = url.partition("://")
        pool = BlockingConnectionPool.from_url(
            f"{_SCHEMES.get(scheme, scheme)}://{rest}",
            max_connections=_CONNECTIONS,
            timeout=_ANSWER_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._server = Redis(connection_pool=pool)
        self._take = self._server.register_script(_TAKE)
        self._told = told
        self._lock = threading.Lock()
        self._usable = True
        self._clock = _ServerClock()
        self._stopped = threading.Event()

    def take(self, demands: Sequence[Demand]) -> Taken | None:
        """Count all demands, or none of them where one does not fit.

        Returns:
            What became of them; None where nobody knows.
        """
        late_at = time.monotonic() + _LATE_SECONDS
        return self._asked(lambda: self._taken(demands, late_at))

    def add(self, names: Sequence[str], seconds: float) -> list[int] | None:
        """Add one to some plain counters, each of which is forgotten after so long untouched.

        Returns:
            What they are then; None where nobody knows.
        """
        return self._asked(lambda: self._added(names, seconds))

    def forget(self, name: str) -> None:
        """Forget a plain counter."""
        self._asked(lambda: self._server.delete(f"{_PREFIX}:{name}"))

    def close(self) -> None:
        """End what runs beside the requests."""
        self._stopped.set()
        self._server.connection_pool.disconnect()

    def _asked(self, ask: Callable[[], T]) -> T | None:
        if not self._usable:
            return None
        try:
            with at_most(_ANSWER_SECONDS):
                return ask()
        except (RedisError, OSError, _Late) as exc:
            self._give_up(exc)
            return None

    def _taken(self, demands: Sequence[Demand], late_at: float) -> Taken:
        if not self._clock.is_known:
            self._call([], 0)
        numbers = self._call(demands, self._clock.at(late_at))
        windows = tuple(
            Window(demand.limit, previous, current, left / 1000)
            for demand, previous, current, left in zip(
                demands, numbers[2::3], numbers[3::3], numbers[4::3], strict=True
            )
        )
        return Taken(bool(numbers[0]), windows)

    def _call(self, demands: Sequence[Demand], late_ms: float) -> list[int]:
        keys = [f"{_PREFIX}:window:{demand.key}" for demand in demands]
        figures = [figure for demand in demands for figure in (demand.limit, demand.cost)]
        arguments = [int(late_ms), int(WINDOW_SECONDS * 1000), *figures]
        asked = time.monotonic()
        answer: Any = self._take(keys, arguments)
        self._clock.learn(answer[1], asked)
        if answer[0] == _LATE:
            raise _Late("the server's clock was set, or it stood still")
        return list(answer)

    def _added(self, names: Sequence[str], seconds: float) -> list[int]:
        with self._server.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.incr(f"{_PREFIX}:{name}")
                pipeline.expire(f"{_PREFIX}:{name}", int(seconds))
            return [int(number) for number in pipeline.execute()[::2]]

    def _give_up(self, error: Exception) -> None:
        with self._lock:
            if not self._usable:
                return
            self._usable = False
        log.warning(
            "requests are not limited: the shared counters cannot be used", error=str(error)
        )
        self._told(False)
        self._server.connection_pool.disconnect(inuse_connections=False)
        threading.Thread(target=self._await_server, name="shared-windows", daemon=True).start()

    def _await_server(self) -> None:
        while not self._stopped.wait(_PROBE_SECONDS):
            if self.probe():
                return

    def probe(self) -> bool:
        """Ask the server whether it can count, and use it again if so."""
        self._clock.forget()
        late_at = time.monotonic() + _LATE_SECONDS
        try:
            with at_most(_ANSWER_SECONDS):
                taken = self._taken([Demand("probe", 1_000_000_000, 1)], late_at)
        except (RedisError, OSError, _Late) as exc:
            log.debug("the shared counters still cannot be used", error=str(exc))
            self._server.connection_pool.disconnect(inuse_connections=False)
            return False
        with self._lock:
            self._usable = taken.granted
        log.info("requests are limited again: the shared counters can be used")
        self._told(True)
        return True

"""Wrong logins, and for how long they slow down the next ones."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from app.backoff import Backoff
from app.errors import LimitExceeded

_FREE: Final = 5
_FREE_OF_MANY: Final = 20
_SLOWED_DOWN: Final = Backoff(first=1.0, longest=60.0)
"""How long a name from an address waits, by the wrong logins beyond those that are free."""
_FORGET_SECONDS: Final = 900.0
"""After so long without a wrong login the earlier ones are forgotten."""
_MOST_REMEMBERED: Final = 10_000
_IPV6_PREFIX: Final = 64


@dataclass(slots=True)
class _Failures:
    number: int = 0
    last_at: float = -math.inf


class _Table:
    """Failures by key; the longest untouched are forgotten first."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, ...], _Failures] = OrderedDict()

    def get(self, key: tuple[str, ...]) -> _Failures:
        found = self._failures.get(key)
        if found is None or time.monotonic() - found.last_at > _FORGET_SECONDS:
            return _Failures()
        return found

    def add(self, key: tuple[str, ...]) -> None:
        failures = self._failures[key] = self.get(key)
        failures.number += 1
        failures.last_at = time.monotonic()
        self._failures.move_to_end(key)
        if len(self._failures) > _MOST_REMEMBERED:
            self._failures.popitem(last=False)

    def forget(self, key: tuple[str, ...]) -> None:
        self._failures.pop(key, None)


class Attempts:
    """Slows wrong logins down, by address and by name.

    Only a name from an address where it was wrong has to wait. From elsewhere it is let through, so
    nobody can lock somebody out by guessing their password. How long the wait is depends on the
    wrong logins with this name from this address, and, beyond a larger number, on those of the
    address and of the name. It is kept in memory, by each web process for itself.
    """

    def __init__(self) -> None:
        self._pairs, self._sums = _Table(), _Table()

    def check(self, name: str, address: str) -> None:
        """Make sure that an attempt may be made now.

        Raises:
            LimitExceeded: It comes too soon after wrong ones.
        """
        pair = self._pairs.get((name, address))
        if not pair.number:
            return
        of_many = max(self._sums.get(("address", address)).number,
                      self._sums.get(("name", name)).number)  # fmt: skip
        excess = max(pair.number - _FREE, of_many - _FREE_OF_MANY)
        if excess < 0:
            return
        left = pair.last_at + _SLOWED_DOWN.pause(excess + 1) - time.monotonic()
        if left > 0:
            text = "Too many wrong logins; try again later."
            raise LimitExceeded(text, retry_after_seconds=left)

    def failed(self, name: str, address: str) -> None:
        """Note a wrong login."""
        self._pairs.add((name, address))
        self._sums.add(("address", address))
        self._sums.add(("name", name))

    def succeeded(self, name: str, address: str) -> None:
        """Note a right login, which makes up for the wrong ones before."""
        self._pairs.forget((name, address))


def side_of(address: str | None) -> str:
    """Return which addresses are one client: a host of IPv4, a network of IPv6.

    A client of IPv6 chooses among all addresses of its network (RFC 4291, 2.5.4). All that is no
    address, such as what somebody wrote into ``X-Forwarded-For``, is one client, too.
    """
    try:
        parsed: IPv4Address | IPv6Address = ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ip_network((parsed, _IPV6_PREFIX), strict=False))
        parsed = parsed.ipv4_mapped
    return str(parsed)

"""Wrong logins, and for how long they slow down the next ones."""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, Protocol

from app.backoff import Backoff
from app.errors import QuotaExceeded

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


class Shared(Protocol):
    """Plain counters that several processes share."""

    def add(self, names: Sequence[str], seconds: float) -> Sequence[int] | None:
        """Add one to some counters, each of which is forgotten after so long untouched.

        Returns:
            What they are then; None where nobody knows.
        """

    def forget(self, name: str) -> None:
        """Forget a counter."""


class _Table:
    """Failures by key; the longest untouched are forgotten first."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, ...], _Failures] = OrderedDict()

    def get(self, key: tuple[str, ...]) -> _Failures:
        found = self._failures.get(key)
        if found is None or time.monotonic() - found.last_at > _FORGET_SECONDS:
            return _Failures()
        return found

    def add(self, key: tuple[str, ...], known_elsewhere: int = 0) -> None:
        failures = self._failures[key] = self.get(key)
        failures.number = max(failures.number + 1, known_elsewhere)
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
    address and of the name. Each web process keeps it in memory. Where there are shared counters, a
    process learns from them, with each wrong login, of those that others have seen.

    Args:
        shared: The shared counters.
    """

    def __init__(self, shared: Shared | None = None) -> None:
        self._pairs, self._sums = _Table(), _Table()
        self._shared = shared

    def check(self, name: str, address: str) -> None:
        """Make sure that an attempt may be made now.

        Raises:
            QuotaExceeded: It comes too soon after wrong ones.
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
            raise QuotaExceeded(text, ("sign-in",), retry_after_seconds=left)

    def failed(self, name: str, address: str) -> None:
        """Note a wrong login."""
        pair, host, user = (name, address), ("address", address), ("name", name)
        known: Sequence[int] | None = None
        if self._shared is not None:
            known = self._shared.add([_shared_name(k) for k in (pair, host, user)], _FORGET_SECONDS)
        of_pair, of_host, of_user = known or (0, 0, 0)
        self._pairs.add(pair, of_pair)
        self._sums.add(host, of_host)
        self._sums.add(user, of_user)

    def succeeded(self, name: str, address: str) -> None:
        """Note a right login, which makes up for the wrong ones before."""
        pair = (name, address)
        if self._shared is not None and self._pairs.get(pair).number:
            self._shared.forget(_shared_name(pair))
        self._pairs.forget(pair)


def _shared_name(key: tuple[str, ...]) -> str:
    """Name a shared counter; names that somebody makes up must not fill the server's memory."""
    digest = hashlib.sha256("\0".join(key).encode(errors="replace")).hexdigest()
    return f"wrong:{digest[:32]}"


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

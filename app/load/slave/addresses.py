"""The addresses behind a name, as far as they may be connected to."""

from __future__ import annotations

import socket
import time
from typing import Final

import gevent
from gevent.event import Event

from app.load.exchange import TransportFailed
from app.load.slave.networks import Networks

FRESH_SECONDS: Final = 30.0
"""How long the addresses of a name are used until it is looked up again."""
_LOOKUP_SECONDS: Final = 10.0  # after which a name has no address
_FAILED_SECONDS: Final = 1.0  # until a name without an address is looked up again
_MOST_NAMES: Final = 1024


class Addresses:
    """Looks names up, each one once at a time.

    Args:
        networks: What may be connected to.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._known: dict[tuple[str, int], _Known] = {}

    def of(self, host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
        """Return the addresses of a host, each time beginning with another one.

        What is connected to is one of these, so nobody can answer with another address between the
        check and the connection.

        Raises:
            TransportFailed: It has none, or none that is allowed.
        """
        key = host, port
        known = self._known.get(key)
        if known is None or known.until < time.monotonic():
            if len(self._known) >= _MOST_NAMES:
                self._known.clear()
            known = self._known[key] = _Known()
            try:
                self._look_up(host, port, known)
            except BaseException:  # who looks it up is stopped: the next one does
                del self._known[key]
                known.fault = "CONNECTION_ERROR", f"{host[:100]} was not looked up"
                raise
            finally:
                known.ready.set()
        known.ready.wait()
        if known.fault:
            raise TransportFailed(*known.fault, 0)
        known.turn += 1
        turn = known.turn % len(known.addresses)
        return known.addresses[turn:] + known.addresses[:turn]

    def _look_up(self, host: str, port: int, known: _Known) -> None:
        try:
            with gevent.Timeout(_LOOKUP_SECONDS, OSError("too slow")):
                found = gevent.get_hub().resolver.getaddrinfo(
                    host, port, socket.AF_UNSPEC, socket.SOCK_STREAM
                )
        except (OSError, UnicodeError):
            found = []
        addresses = [(family, place[:2]) for family, _, _, _, place in found]
        known.addresses = [each for each in addresses if self._networks.allow(each[1][0])]
        if not addresses:
            known.fault = "CONNECTION_ERROR", f"{host[:100]} has no address"
        elif not known.addresses:
            known.fault = "NOT_ALLOWED", f"the address of {host[:100]} is not an allowed target"
        known.until = time.monotonic() + (_FAILED_SECONDS if known.fault else FRESH_SECONDS)


class _Known:
    """What is known of a name; ``ready`` when it is."""

    def __init__(self) -> None:
        self.ready = Event()
        self.until = float("inf")
        self.addresses: list[tuple[socket.AddressFamily, tuple[str, int]]] = []
        self.fault: tuple[str, str] | None = None
        self.turn = -1

"""Ports for servers that must be told theirs before they start."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST = 10_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nobody listens now.

    It is below those that the kernel gives to outgoing connections, and at random: so nobody takes
    it before the server does, also when several runs of the tests look for ports at once.
    """
    highest = int(_RANGE.read_text(encoding="ascii").split()[0]) if _RANGE.exists() else 32_768
    while True:
        port = random.SystemRandom().randrange(_LOWEST, highest)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port

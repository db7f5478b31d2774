"""A TCP connection that is waited for no longer than its caller wants it."""

from __future__ import annotations

import errno
import ipaddress
import os
import select
import socket
import threading
import time
from typing import Any

from app.errors import UpstreamUnreachable

_STEP_SECONDS = 0.05
"""How often a wait looks whether it is called off."""
_USER_TIMEOUT_MILLISECONDS = 45_000
"""How long the system keeps a connection whose other end confirms nothing."""


class Patience:
    """How long a caller waits, and whether that was called off by somebody else.

    Args:
        seconds: From now on.
        what: What is waited for, as the start of a sentence.
    """

    def __init__(self, seconds: float, what: str) -> None:
        self._ends_at = time.monotonic() + seconds
        self._what = what
        self._stop = threading.Event()

    @property
    def left(self) -> float:
        """Seconds that are left; 0 when they are over."""
        return max(0.0, self._ends_at - time.monotonic())

    def stop(self) -> None:
        """Call it off."""
        self._stop.set()

    def check(self, doing: str) -> None:
        """Go on only where that makes sense.

        Raises:
            UpstreamUnreachable: The time is over, or it was called off.
        """
        if self._stop.is_set():
            raise UpstreamUnreachable(f"{self._what} was given up: the gateway closes it.")
        if self._ends_at <= time.monotonic():
            raise UpstreamUnreachable(
                f"{self._what} took too long: {doing}.", retry_after_seconds=5.0
            )

    def wait_for(self, event: threading.Event, doing: str) -> None:
        """Wait until something has happened.

        Raises:
            UpstreamUnreachable: As for :meth:`check`.
        """
        while not event.wait(_STEP_SECONDS):
            self.check(doing)


def dial(host: str, port: int, patience: Patience) -> socket.socket:
    """Connect to the first address of a host that answers.

    Raises:
        UpstreamUnreachable: None does, or there is none; nothing was sent.
    """
    faults: list[str] = []
    for family, kind, protocol, _, address in _addresses(host, port, patience):
        patience.check(f"{host} has not answered on port {port}")
        connection = socket.socket(family, kind, protocol)
        try:
            fault = _connect(connection, address, patience, f"nothing answers on port {port}")
        except BaseException:
            connection.close()
            raise
        if not fault:
            _tune(connection)
            return connection
        connection.close()
        faults.append(f"{address[0]}: {os.strerror(fault)}")
    why = faults[0].partition(": ")[2].lower() if faults else "it has no address"
    raise UpstreamUnreachable(
        f"{host} cannot be reached on port {port}: {why}.",
        detail="; ".join(faults),
        retry_after_seconds=5.0,
    )


def _connect(connection: socket.socket, address: Any, patience: Patience, doing: str) -> int:
    """Return the number of the error, 0 for none."""
    connection.setblocking(False)
    fault = connection.connect_ex(address)
    if fault not in (errno.EINPROGRESS, errno.EAGAIN):
        return fault
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    while not poll.poll(_STEP_SECONDS * 1000):
        patience.check(doing)
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _tune(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MILLISECONDS
        )


def _addresses(host: str, port: int, patience: Patience) -> list[Any]:
    found: list[Any] = []
    faults: list[Exception] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as exc:
            faults.append(exc)
        done.set()

    done = threading.Event()
    if _is_address(host):
        look_up()
    else:
        # The system's look-up cannot be broken off; its thread ends with the system's own patience.
        threading.Thread(target=look_up, name="ssh-look-up", daemon=True).start()
    patience.wait_for(done, f"the name {host} was not found out")
    if faults:
        why = getattr(faults[0], "strerror", None) or "it is no name"
        raise UpstreamUnreachable(
            f"The name {host} cannot be found: {why}.",
            detail=str(faults[0]),
            retry_after_seconds=5.0,
        )
    return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

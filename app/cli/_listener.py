"""Listening sockets, which one process opens and another one serves."""

from __future__ import annotations

import socket

from app.settings import Settings

_BACKLOG = 4096


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Open a listening socket.

    Args:
        host: Address or name.
        port: TCP port; 0 for any free one.
        shared: Let other sockets listen on the same port, for several processes.

    Raises:
        OSError: The address cannot be had.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Inherited by each connection: headers and body leave in two writes.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def ports_of(settings: Settings) -> list[int]:
    """List the ports that are listened on: the API's, and a second one where there is one."""
    ports = (settings.api.port, settings.api.wattle.port)
    return [port for port in ports if port is not None]


def sockets_of(settings: Settings, *, shared: bool) -> list[socket.socket]:
    """Open the sockets of a web process: of the API, and of a second port where there is one.

    Args:
        settings: All of them.
        shared: As of :func:`listen`.

    Raises:
        OSError: One of them cannot be had.
    """
    found: list[socket.socket] = []
    try:
        for port in ports_of(settings):
            found.append(listen(settings.api.host, port, shared=shared))  # noqa: PERF401  (closed)
    except OSError:
        for listener in found:
            listener.close()
        raise
    return found


def take_over(descriptor: int) -> socket.socket:
    """Take a listening socket over; one that was shut meanwhile listens again."""
    listener = socket.socket(fileno=descriptor)
    listener.listen(_BACKLOG)
    return listener

"""HTTP/1.1 for virtual users: gevent's event loop, bare sockets, and a parser in C.

A request's time is from its first byte sent to the last one received; looking the name up,
connecting and TLS come before, and happen once for each connection.
"""

from __future__ import annotations

import _socket  # that of the system, whoever has patched the other
import errno
import os
import socket
from collections.abc import Callable
from typing import Final

import gevent

from app.load.exchange import Answer, Request, TimedOut, TransportFailed
from app.load.slave.addresses import Addresses
from app.load.slave.http_connection import Connection, Stale, clock_us
from app.load.slave.networks import Networks
from app.load.slave.origins import Origin, Places
from app.load.slave.tls import TlsFailed, TlsStream

_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be sent again where nobody knows whether they arrived (RFC 9110, 9.2.2)."""


class Client:
    """Sends requests for all virtual users of a task, over connections that are kept.

    Args:
        networks: What may be connected to.
        ready: Called before anything is sent; it may block, or raise.
    """

    def __init__(self, networks: Networks, ready: Callable[[], None]) -> None:
        self._ready = ready
        self._places = Places()
        self._addresses = Addresses(networks)

    def close(self) -> None:
        """Close the connections that are free."""
        for origin in self._places.origins():
            while origin.idle:
                origin.idle.pop().close()

    def send(self, request: Request) -> Answer:
        """Send a request and return its answer; see :class:`app.load.exchange.Http`."""
        place = self._places.of(request)
        data = place.written(request)
        self._ready()
        deadline_us = clock_us() + request.timeouts.request_us
        connection = self._kept(place.origin, request)
        if connection is not None:
            try:
                return connection.exchange(request, data, deadline_us)
            except Stale:
                if request.method not in _REPEATABLE:
                    raise TransportFailed(
                        "CONNECTION_ERROR", "the connection was closed without an answer", 0
                    ) from None
        return self._opened(place.origin, request, deadline_us).exchange(request, data, deadline_us)

    def _kept(self, origin: Origin, request: Request) -> Connection | None:
        """Return a free connection; None if there is none."""
        idle = origin.idle
        while idle:
            connection = idle.pop()
            if connection.open and (request.method in _REPEATABLE or connection.is_quiet()):
                return connection
            connection.close()
        return None

    def _opened(self, origin: Origin, request: Request, deadline_us: int) -> Connection:
        begin_us = clock_us()
        until_us = min(deadline_us, begin_us + request.timeouts.connect_us)
        late = TimedOut("TIMEOUT_ERROR", "no connection in time", until_us - begin_us)
        try:
            with gevent.Timeout(max(0, until_us - begin_us) / 1_000_000, late):
                connection = self._connected(origin)
        except TransportFailed as exc:
            exc.microseconds = clock_us() - begin_us
            raise
        try:
            self._ready()
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self, origin: Origin) -> Connection:
        fault = ""
        for family, address in self._addresses.of(origin.host, origin.port):
            sock = None
            try:
                sock = _socket.socket(family, socket.SOCK_STREAM)
                return _connection(origin, sock, address)
            except OSError as exc:
                fault = os.strerror(exc.errno).lower() if exc.errno else str(exc)
                _close(sock)
            except TlsFailed as exc:
                _close(sock)
                raise TransportFailed("CONNECTION_ERROR", str(exc), 0) from None
            except BaseException:
                _close(sock)
                raise
        raise TransportFailed("CONNECTION_ERROR", f"no connection: {fault}", 0)


def _close(sock: _socket.socket | None) -> None:
    if sock is not None:
        sock.close()


def _connection(origin: Origin, sock: _socket.socket, address: tuple[str, int]) -> Connection:
    """Connect a socket, and shake hands where that is needed.

    Raises:
        OSError: There is nobody, or they do not listen.
        TlsFailed: They cannot be trusted.
    """
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    error = sock.connect_ex(address)
    if error == errno.EINPROGRESS:
        _wait(sock, 2)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    tls = None
    if origin.secure:
        tls = TlsStream(origin.tls, origin.host)
        _shake_hands(sock, tls)
    return Connection(origin, sock, tls)


def _shake_hands(sock: _socket.socket, tls: TlsStream) -> None:
    received = b""
    complete = False
    while not complete:
        complete = tls.shake_hands(received)
        to_send = tls.to_send()
        while to_send:
            try:
                to_send = to_send[sock.send(to_send) :]
            except BlockingIOError:
                _wait(sock, 2)
        if complete:
            return
        _wait(sock, 1)
        received = sock.recv(65536)
        if not received:
            raise TlsFailed("the connection was closed during the TLS handshake")


def _wait(sock: _socket.socket, events: int) -> None:
    hub = gevent.get_hub()
    watcher = hub.loop.io(sock.fileno(), events)
    try:
        hub.wait(watcher)
    finally:
        watcher.close()

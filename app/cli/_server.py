"""The HTTP server of a web process: gevent's WSGI server, with a shutdown of our own.

The reasons for each departure from the stock server stand in ``docs/decisions/0003``.
"""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import gevent
import structlog
from gevent.pywsgi import WSGIHandler, WSGIServer

from app.cli._hangups import Hangups
from app.resources._websocket import HIJACKED

log = structlog.get_logger(__name__)

_BACKLOG = 4096
_FULL_COLLECTION = 1000
"""Collections of the middle generation before one of all objects; Python's own number is 10."""
_HELD_METHODS = ("GET", "HEAD")

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@lru_cache
def _status_line(status: str) -> str:
    """Write a status as RFC 9110 does; Werkzeug writes the reason in capitals."""
    code = int(status.partition(" ")[0])
    known = {each.value: each.phrase for each in HTTPStatus}
    return f"{code} {known[code]}" if code in known else status


class _Handler(WSGIHandler):  # type: ignore[misc]
    """One connection."""

    def run_application(self) -> None:
        """Answer one request, and notice when its client goes away meanwhile."""
        server: Server = self.server
        descriptor = self.socket.fileno()
        # A client that gets its answer may have gone for good only where nothing is changed.
        held = self.environ["REQUEST_METHOD"] in _HELD_METHODS
        # Without this a busy connection would never let go of the loop.
        gevent.sleep(0)
        server.active += 1
        if held:
            server.hangups.hold(descriptor)
        try:
            super().run_application()
        finally:
            if held:
                server.hangups.release(descriptor)
            server.active -= 1
            # What came over a WebSocket is no request.
            self.close_connection |= HIJACKED in self.environ

    def process_result(self) -> None:
        """Send what the application yields; the head at once, even if that is nothing yet."""
        for data in self.result:
            self.write(data)
        if self.status and not self.headers_sent:
            self.write(b"")
        if self.response_use_chunked:
            self._sendall(b"0\r\n\r\n")

    def start_response(self, status: str, *args: Any) -> Any:
        """Begin an answer, with the reason in the standard's own letters."""
        return super().start_response(_status_line(status), *args)

    def get_environ(self) -> dict[str, Any]:
        """Hand out the socket, for WebSockets."""
        environ: dict[str, Any] = super().get_environ()
        environ["slipway.socket"] = self.socket
        return environ

    def finalize_headers(self) -> None:
        """Tell the client to come back on another connection when the process stops."""
        if self.server.stopping:
            self.response_headers.append((b"Connection", b"close"))
            self.close_connection = True
        super().finalize_headers()


class Server(WSGIServer):  # type: ignore[misc]
    """Serves an application on a listening socket.

    Args:
        listener: A socket that listens already.
        application: The WSGI application.
    """

    def __init__(self, listener: socket.socket, application: Application) -> None:
        super().__init__(listener, application, log=None, handler_class=_Handler)
        self.hangups = Hangups()
        self.active = 0
        self.stopping = False

    def start(self) -> None:
        """Begin to serve."""
        _calm_the_collector()
        super().start()

    def shut_down(self, release: Callable[[], None], timeout_seconds: float) -> None:
        """Take no new connection, let every request be answered, and close.

        Args:
            release: Makes the held requests answer what they have.
            timeout_seconds: Longest time for that.
        """
        self.stopping = True
        self.close()
        release()
        with gevent.Timeout(timeout_seconds, False):
            while self.active:
                gevent.sleep(0.01)
        if self.active:
            log.warning("requests cut off at shutdown", count=self.active)
        self.stop(timeout=0.05)


def _calm_the_collector() -> None:
    """Make full garbage collections rare.

    Each looks at every object while nothing else runs, for half a second with 5,000 held requests.
    The cycles that requests leave die young, and are found by the collections of young objects.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _FULL_COLLECTION)


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

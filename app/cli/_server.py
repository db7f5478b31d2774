"""The HTTP server of a web process: gevent's WSGI server, with a shutdown of our own.

The reasons for each departure from the stock server stand in ``docs/decisions/0003``.
"""

from __future__ import annotations

import errno
import gc
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import gevent
import structlog
from gevent.lock import Semaphore
from gevent.pywsgi import WSGIServer
from gevent.server import StreamServer

from app.cli._connection import Connection, Limits
from app.cli._hangups import Hangups
from app.cli._parking import Parking
from app.cli._tls_socket import TlsContext
from app.resources._dialects import Dialects
from app.services.turns import Turns

log = structlog.get_logger(__name__)

_FULL_COLLECTION = 1000
"""Collections of the middle generation before one of all objects; Python's own number is 10."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_SECONDS = 0.1
"""How long no connection is taken when there was no descriptor for one."""
_TURNED_AWAY = {"Retry-After": "1", "Content-Length": "0", "Connection": "close"}

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Acceptor(StreamServer):  # type: ignore[misc]
    """Takes connections as long as there are descriptors for them."""

    # Those that made room are closed in the next turn of the loop.
    max_accept = 10

    def do_read(self) -> Any:
        """Accept a connection; where that takes more than there is, make room and wait."""
        try:
            return super().do_read()
        except OSError as exc:
            if exc.errno not in _EXHAUSTED:
                raise
            log.warning("no connection can be accepted", error=str(exc))
            self.make_room()
            # The socket stays readable, and the loop would do nothing but ask again.
            self.stop_accepting()
            self._timer = self.loop.timer(_PAUSE_SECONDS)
            self._timer.start(self._start_accepting_if_started)
            return None

    def make_room(self) -> bool:
        """End the connection that has waited longest for its client."""
        raise NotImplementedError


class _Beside(_Acceptor):
    """Takes connections on another socket, for a server that treats them like its own.

    Args:
        listener: The socket, which listens already.
        server: The server.
    """

    def __init__(self, listener: socket.socket, server: Server) -> None:
        super().__init__(listener, server.do_handle)
        self._server = server

    def do_handle(self, *args: Any) -> None:
        """Serve a new connection."""
        self._server.do_handle(*args)

    def make_room(self) -> bool:
        """End the connection that has waited longest for its client."""
        return self._server.make_room()


class Server(_Acceptor, WSGIServer):  # type: ignore[misc]
    """Serves an application on a listening socket.

    Args:
        listener: A socket that listens already.
        application: The WSGI application.
        limits: What clients may ask of it.
        dialects: Put what goes wrong outside the application into words.
        tls: What is spoken on new connections; None for HTTP in the clear.

    Attributes:
        tls_fields: Header fields of each answer that goes over TLS.
        beside: Other sockets that listen already, of which the same holds.
        open: Connections.
        active: Requests that are being read or answered.
        idle: Connections that wait for a request or its head, those that wait longest first.
        reading: Connections that send a body, likewise.
        turn: Whose turn it is to read what takes its time.
        refusals: Turns of those whose requests are none.
        bodies_bytes: What the large bodies take that are being read or answered.
    """

    def __init__(
        self,
        listener: socket.socket,
        application: Application,
        limits: Limits | None = None,
        dialects: Dialects | None = None,
        *,
        tls: TlsContext | None = None,
        tls_fields: Sequence[tuple[str, str]] = (),
        beside: Sequence[socket.socket] = (),
    ) -> None:
        super().__init__(listener, application, log=None, handler_class=Connection)
        self.limits = limits or Limits()
        self.answers = dialects or Dialects(())
        fields = {**_TURNED_AWAY, **self.answers.always.fields}
        lines = ["HTTP/1.1 503 Service Unavailable", *map(": ".join, fields.items()), "", ""]
        self._turned_away = "\r\n".join(lines).encode("latin-1")
        self.tls = tls
        self.tls_fields = tls_fields
        self.hangups = Hangups()
        self.parking = Parking()
        self.active = 0
        self.idle: dict[Connection, None] = {}
        self.reading: dict[Connection, None] = {}
        self.bodies_bytes = 0
        self.turn = Semaphore()
        self.refusals = Turns()
        self.stopping = False
        self.open = 0
        self._beside = [_Beside(other, self) for other in beside]

    def do_handle(self, *args: Any) -> None:
        """Serve a new connection, in place of one that does nothing if there are too many."""
        self.open += 1
        if self.open > self.limits.connections and not self.make_room():
            if self.tls is None:  # who speaks TLS would not understand it
                with suppress(OSError):
                    args[0].send(self._turned_away)
            self.do_close(*args)
            return
        try:
            # It closes itself: it may live longer than the greenlet.
            sock, address = args
            self._spawn(Connection(sock, address, self).begin)
        except BaseException:
            self.do_close(*args)
            raise

    def do_close(self, *args: Any) -> None:
        """Close a connection."""
        self.open -= 1
        super().do_close(*args)

    def make_room(self) -> bool:
        """End the connection that has waited longest for its client."""
        for waiting in (self.idle, self.reading):
            oldest = next(iter(waiting), None)
            if oldest is not None:
                del waiting[oldest]
                oldest.end()
                return True
        return False

    def start(self) -> None:
        """Begin to serve."""
        _calm_the_collector()
        self.parking.start()
        super().start()
        for other in self._beside:
            other.start()

    def shut_down(self, release: Callable[[], None], timeout_seconds: float) -> None:
        """Take no new connection, let every request be answered, and close.

        Args:
            release: Makes the held requests answer what they have.
            timeout_seconds: Longest time for that.
        """
        self.stopping = True
        self.close()
        for other in self._beside:
            other.close()
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

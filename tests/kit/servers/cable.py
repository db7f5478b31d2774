"""A TCP way to a server that can die silently, as when a firewall forgets a connection."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Cable:
    """Forwards connections to a port on loopback.

    Args:
        port: Where the server listens.

    Attributes:
        port: Where to connect in its place.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._cut = threading.Event()  # of the connections that there are now
        self._dead = False
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def go_silent(self) -> None:
        """Forward nothing any more on the connections that there are; new ones work."""
        self._cut.set()
        self._cut = threading.Event()

    def die(self) -> None:
        """Forward nothing any more, also on new connections, which are accepted."""
        self._dead = True
        self.go_silent()

    def mend(self) -> None:
        """Let new connections work again."""
        self._dead = False

    def close(self) -> None:
        """End it with all of its connections."""
        for each in (self._listener, *self._sockets):
            with suppress(OSError):  # to close it alone says nothing while a thread reads of it
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                if self._dead:
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:  # nobody listens there now
                    client.close()
                    continue
                self._sockets.append(server)
                for pair in ((client, server), (server, client)):
                    threading.Thread(
                        target=self._copy, args=(*pair, self._cut), daemon=True
                    ).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if cut.is_set():
                    return
                target.sendall(data)
            if not cut.is_set():
                target.shutdown(socket.SHUT_WR)

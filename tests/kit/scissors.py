"""A TCP way to a service that is cut again and again, wherever the bytes happen to be."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

_BLOCK = 4096


class Scissors:
    """Forwards connections to a service, and cuts some of them.

    Each cut comes after a number of bytes of what the service says, so within a head, a chunk or a
    line as chance has it. The numbers are the same at each run.

    Args:
        url: Where the service is; it may become another one.
        cuts: How many connections are cut.
        most_bytes: How much the service may say before a cut, at most.
        seed: Of the numbers.

    Attributes:
        url: Where to connect in its place.
        done: How many connections have been cut.
    """

    def __init__(self, url: str, *, cuts: int = 0, most_bytes: int = 2000, seed: int = 1) -> None:
        self.target = url
        self.done = 0
        self._cuts, self._most_bytes = cuts, most_bytes
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self._sockets):
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                parts = urlsplit(self.target)
                try:
                    server = socket.create_connection((parts.hostname, parts.port))
                except OSError:  # nobody listens there now
                    client.close()
                    continue
                self._sockets += [client, server]
                for job in (self._ask, self._answer):
                    threading.Thread(target=job, args=(client, server), daemon=True).start()

    def _left(self) -> int | None:
        """Return how many bytes come before the cut of a connection; None for no cut."""
        with self._lock:
            if self.done >= self._cuts:
                return None
            self.done += 1
            return self._random.randrange(self._most_bytes)

    @staticmethod
    def _ask(client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(_BLOCK):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        left = self._left()
        with suppress(OSError):
            while data := server.recv(_BLOCK):
                if left is not None and len(data) >= left:
                    client.sendall(data[:left])
                    break
                client.sendall(data)
                left = None if left is None else left - len(data)
        for each in (client, server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

"""A piece of network between a client and a server, which can be cut and mended."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

_LOOK_SECONDS = 0.05


class Wire:
    """Forwards TCP connections; while it is cut, nothing gets through and nobody is told so.

    Args:
        url: Of the server.

    Attributes:
        url: Of this end.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{parts.scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._cut = self._closing = False
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True

    def cut(self) -> None:
        """Let nothing through any more; what was connected before stays dead."""
        self._cut = True
        self._pairs = {}

    def mend(self) -> None:
        """Let new connections through."""
        self._cut = False

    def _run(self) -> None:
        dead: list[socket.socket] = []  # kept, so that nobody hears of their end
        while not self._closing:
            readable, _, _ = select.select([self._listener, *self._pairs], [], [], _LOOK_SECONDS)
            for each in readable:
                if each is self._listener:
                    self._accept(dead)
                elif (other := self._pairs.get(each)) is not None:
                    self._forward(each, other)
        for each in [self._listener, *dead, *self._pairs]:
            each.close()

    def _accept(self, dead: list[socket.socket]) -> None:
        client, _ = self._listener.accept()
        dead.append(client)
        if not self._cut:
            server = socket.create_connection(self._to)
            dead.append(server)
            self._pairs |= {client: server, server: client}

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        data = b""
        with suppress(OSError):
            data = source.recv(65536)
            target.sendall(data)
        if not data:
            for each in (source, target):
                self._pairs.pop(each, None)
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

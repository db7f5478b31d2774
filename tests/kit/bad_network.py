"""A piece of network between a client and a server that cuts connections, or holds answers back."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

_BLOCK = 65536
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER without any time: a close is a reset."""


class BadNetwork:
    """Forwards TCP connections, and spoils them.

    Args:
        url: Of the server; :attr:`to` may become another one, as when a service starts again.
        budget: Returns how many bytes of answers the connection of a number, from 0, lets through
            before it is cut; None for all.
        holds: Returns whether what answers a request, whose head it is given, is held back until
            the server ends the connection.

    Attributes:
        url: Of this end.
        cuts: How many connections were cut.
        connections: How many there have been.
    """

    def __init__(
        self,
        url: str,
        budget: Callable[[int], int | None] = lambda _: None,
        holds: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        self.to = url
        self.cuts = 0
        self._budget, self._holds = budget, holds
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in [self._listener, *self._open]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def cut(self) -> None:
        """Cut all connections that are open now."""
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                number, self.connections = self.connections, self.connections + 1
                threading.Thread(target=self._forward, args=[client, number], daemon=True).start()

    def _forward(self, client: socket.socket, number: int) -> None:
        parts = urlsplit(self.to)
        with suppress(OSError), client:
            with socket.create_connection((parts.hostname, parts.port)) as server:
                self._open |= {client, server}
                with suppress(OSError, ValueError):  # it was closed meanwhile
                    self._pump(client, server, self._budget(number))
                self._open -= {client, server}

    def _pump(self, client: socket.socket, server: socket.socket, budget: int | None) -> None:
        """Forward in one thread: a close while another one reads would close nothing."""
        held, holds, sources = b"", False, [client, server]
        while server in sources:
            for source in select.select(sources, [], [])[0]:
                data = source.recv(_BLOCK)
                if not data:
                    sources.remove(source)
                elif source is client:
                    holds = holds or self._holds(data)
                    server.sendall(data)
                elif holds:
                    held += data
                elif budget is None:
                    client.sendall(data)
                else:
                    client.sendall(data[:budget])
                    budget -= len(data)
                    if budget <= 0:
                        return self._cut(client)
            if client not in sources:
                return None
        return client.sendall(held)

    def _cut(self, client: socket.socket) -> None:
        self.cuts += 1
        if self.cuts % 2:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def random_budgets(seed: int, cuts: int, most: int) -> Callable[[int], int | None]:
    """Return budgets by chance for the first connections, and none for those behind them."""
    chance = random.Random(seed)
    budgets = [chance.randrange(most) for _ in range(cuts)]
    return lambda number: budgets[number] if number < cuts else None

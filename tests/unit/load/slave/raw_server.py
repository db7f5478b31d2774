"""A server that says on each connection what it was told to, byte by byte, whatever it is asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress


class RawServer:
    """Answers the requests of its connections in turn.

    Args:
        answers: What is said to each request; None closes the connection without a word.
        closes: Whether a connection is closed behind the last answer.
        greeting: What is said before anybody asks.
    """

    def __init__(
        self, answers: Sequence[bytes | None], *, closes: bool, greeting: bytes = b""
    ) -> None:
        self._answers, self._closes, self._greeting = list(answers), closes, greeting
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.heads: list[bytes] = []
        self.connections = 0
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(self._greeting)
            while self._answers:
                head = b""
                while b"\r\n\r\n" not in head:
                    if not (piece := connection.recv(65536)):
                        return
                    head += piece
                self.heads.append(head)
                answer = self._answers.pop(0)
                if answer is None:
                    return
                connection.sendall(answer)
            if not self._closes:
                connection.recv(1)


@contextmanager
def serving(
    *answers: bytes | None, closes: bool = False, greeting: bytes = b""
) -> Iterator[RawServer]:
    """Serve for a while."""
    server = RawServer(answers, closes=closes, greeting=greeting)
    try:
        yield server
    finally:
        server.close()

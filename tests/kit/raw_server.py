"""A server that answers each connection with the very bytes that a test wants, and then ends it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

_BLOCK = 65536


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> Mapping[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def json(self) -> Any:
        return json.loads(self.body)


class Hold:
    """In the place of bytes: nothing is sent any more, and the connection stays open."""


HOLD = Hold()
Piece = bytes | Hold | Callable[[], object]
Talk = Callable[[Asked, int], bytes | Iterable[Piece]]


class RawServer:
    """Reads one request a connection, and sends what a test says: bytes, calls of its own, silence.

    Args:
        talk: Returns what is sent for a request and its number, counted from 0.

    Attributes:
        asked: The requests so far.
        connections: Those that are open.
    """

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[Asked] = []
        self.connections: list[socket.socket] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self.connections):
            each.close()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        held = False
        self.connections.append(connection)
        with suppress(OSError):
            asked = _read(connection)
            if asked is not None:
                with self._lock:
                    number = len(self.asked)
                    self.asked.append(asked)
                held = self._answer(connection, self._talk(asked, number))
        if not held:
            connection.close()
            self.connections.remove(connection)

    def _answer(self, connection: socket.socket, said: bytes | Iterable[Piece]) -> bool:
        for piece in [said] if isinstance(said, bytes) else said:
            if isinstance(piece, Hold):
                return True
            if isinstance(piece, bytes):
                connection.sendall(piece)
            else:
                piece()
        return False


def _read(connection: socket.socket) -> Asked | None:
    data = b""
    while b"\r\n\r\n" not in data:
        block = connection.recv(_BLOCK)
        if not block:
            return None
        data += block
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(_BLOCK)
    return Asked(method, target, headers, body)


def answer(
    status: int | str,
    body: bytes | Any = b"",
    kind: str = "application/json",
    framing: str = "length",
    **headers: str,
) -> bytes:
    """Return a whole answer.

    Args:
        status: Of it.
        body: Bytes, or what is written as JSON.
        kind: Its type.
        framing: Says where the body ends: ``length``, ``chunked``, or ``close`` for nothing.
        headers: More of the head; ``_`` stands for ``-``.
    """
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Status", "Server: raw"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if kind:
        lines.append(f"Content-Type: {kind}")
    if framing == "length":
        lines.append(f"Content-Length: {len(data)}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        parts = data.splitlines(keepends=True)  # as a server does that flushes each
        data = b"".join(map(chunk, parts)) + b"0\r\n\r\n"
    lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def chunk(data: bytes) -> bytes:
    """Return a chunk (RFC 9112, 7.1)."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def problem(status: int, detail: str = "It is so.", code: str = "so", **headers: str) -> bytes:
    """Return a refusal of the service."""
    body = {"type": "about:blank", "title": "So", "status": status, "detail": detail, "code": code}
    return answer(status, body, "application/problem+json", **headers)

"""What anybody can send without a password, below and around HTTP."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from bench.abuse._attacker import Attacker, Case, statuses

_HEAD = "POST /workflows/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
_MEBI = 1 << 20


def _small_chunks(attacker: Attacker) -> str:
    chunk = b"1\r\nx\r\n"
    seen: list[int] = []
    while attacker.goes_on:
        seen.append(_send(attacker, f"{_HEAD}Transfer-Encoding: chunked\r\n", chunk * 10_000, 40))
    return statuses(seen)


def _large_bodies(attacker: Attacker) -> str:
    seen: list[int] = []
    while attacker.goes_on:
        size = 100 * _MEBI
        seen.append(_send(attacker, f"{_HEAD}Content-Length: {size}\r\n", b"x" * _MEBI, 100))
    return statuses(seen)


def _send(attacker: Attacker, head: str, piece: bytes, pieces: int) -> int:
    """Send a head and a body in pieces, and return the status that comes, sooner or later."""
    with attacker.open() as connection:
        with suppress(OSError):
            connection.sendall(f"{head}\r\n".encode())
            for _ in range(pieces):
                connection.sendall(piece)
        return _status(connection)


def _status(connection: socket.socket) -> int:
    connection.settimeout(10)
    with suppress(OSError):
        words = connection.recv(4096).split(b" ", 2)
        if len(words) > 1 and words[1].isdigit():
            return int(words[1])
    return 0


def _slow_heads(attacker: Attacker) -> str:
    held: list[socket.socket] = []
    with suppress(OSError):
        for _ in range(1_500):
            held.append(attacker.open())
            held[-1].sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    opened = len(held)
    while attacker.goes_on:
        for connection in held:
            with suppress(OSError):
                connection.send(b"x")
        time.sleep(0.2)
    for connection in held:
        connection.close()
    return f"{opened} connections"


def _pipelines(attacker: Attacker) -> str:
    answered = 0
    request = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with attacker.open() as connection:
        while attacker.goes_on:
            connection.sendall(request * 200)
            rest = 200
            while rest > 0 and (data := connection.recv(1 << 20)):
                rest -= data.count(b"HTTP/1.1 200")
            answered += 200
    return f"{answered} answers"


def _many_headers(attacker: Attacker) -> str:
    lines = "".join(f"X-{i}: {'y' * 80}\r\n" for i in range(10_000))
    seen: list[int] = []
    while attacker.goes_on:
        seen.append(_send(attacker, f"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}", b"", 0))
    return statuses(seen)


CASES = (
    Case("bodies in chunks of one byte, without a password", _small_chunks),
    Case("bodies of 100 MiB that are refused", _large_bodies),
    Case("1,500 heads that never end", _slow_heads),
    Case("200 requests in each packet", _pipelines),
    Case("heads of 10,000 fields", _many_headers),
)

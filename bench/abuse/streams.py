"""Long logs, and requests that are held."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from socket import socket

from bench.abuse._attacker import Attacker, Case, one_script, statuses
from bench.abuse._users import ATTACKER, authorization

_LINES = "seq -f 'line %.0f of the solver, residual 1.000000e-09, all domains have converged' 60000"
_LONG_LINES = "for i in $(seq 4000); do head -c 65000 /dev/zero | tr '\\0' x; echo; done"
_RECEIVE_BYTES = 1 << 20


def _wrote(script: str) -> Callable[[Attacker], None]:
    """Have an execution write a log, and wait for its end."""

    def prepare(attacker: Attacker) -> None:
        attacker.define(one_script("writes", script))
        _, location = attacker.launch("writes")
        while json.loads(attacker.call("GET", f"{location}?wait=30s")[1])["finished_at"] is None:
            pass

    return prepare


def _log(attacker: Attacker) -> str:
    """Return the address of the attacker's own execution, the newest."""
    listed = json.loads(attacker.call("GET", "/executions?page_size=1")[1])
    return f"/executions/{listed['executions'][0]['id']}"


def _request(path: str, accept: str, more: str = "") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n"
        f"Authorization: {authorization(ATTACKER)}\r\n{more}\r\n"
    ).encode()


def _upgrade(path: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    more = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n"
    )
    return _request(path, "*/*", more)


def _streams(number: int, request: Callable[[str], bytes]) -> Callable[[Attacker], str]:
    """Open so many streams, and read whatever comes as fast as it can be read."""

    def attack(attacker: Attacker) -> str:
        log = _log(attacker)
        opened: list[socket] = []
        for _ in range(number):
            with suppress(OSError):
                opened.append(attacker.open())
                opened[-1].sendall(request(log))
                opened[-1].setblocking(False)
        received = refused = 0
        while attacker.goes_on:
            for connection in opened:
                with suppress(OSError):
                    data = connection.recv(_RECEIVE_BYTES)
                    received += len(data)
                    refused += data.startswith(b"HTTP/1.1 429")
            time.sleep(0.001)
        for connection in opened:
            connection.close()
        return f"{received / 2**20:.0f} MiB over {number} streams, {refused} refused"

    return attack


def _pages(attacker: Attacker) -> str:
    log = _log(attacker)
    seen: list[int] = []

    def act() -> None:
        while attacker.goes_on:
            path = f"{log}/logs?levels=15&size=-1&from={len(seen) % 7}"
            seen.append(attacker.call("GET", path)[0])

    attacker.together(10, act)
    return statuses(seen)


def _define_a_sleep(attacker: Attacker) -> None:
    attacker.define(one_script("sleeps", "sleep 600"))


def _polls(attacker: Attacker) -> str:
    _, location = attacker.launch("sleeps")
    held: list[socket] = []
    refused = 0
    with suppress(OSError):
        for _ in range(1_200):
            held.append(attacker.open())
            path = f"{location}/logs?from=1000&timeout=10m"
            held[-1].sendall(_request(path, "application/json"))
    attacker.rest()
    for connection in held:
        connection.setblocking(False)
        with suppress(OSError):
            refused += connection.recv(64).startswith(b"HTTP/1.1 429")
        connection.close()
    attacker.call("DELETE", location)
    return f"{len(held)} polls, {refused} refused"


def _beyond_the_end(attacker: Attacker) -> str:
    log = _log(attacker)
    seen: list[int] = []

    def act() -> None:
        while attacker.goes_on:
            path = f"{log}/logs?from=60100&levels=15&size=50&timeout=2s"
            seen.append(attacker.call("GET", path)[0])

    attacker.together(40, act)
    return statuses(seen)


CASES = (
    Case(
        "50 WebSockets that read a log of 60,000 lines",
        _streams(50, lambda log: _upgrade(f"{log}/ws?levels=15")),
        _wrote(_LINES),
    ),
    Case(
        "200 WebSockets that read a log of 60,000 lines",
        _streams(200, lambda log: _upgrade(f"{log}/ws?levels=15")),
        _wrote(_LINES),
    ),
    Case(
        "200 event streams that read a log of 60,000 lines",
        _streams(200, lambda log: _request(f"{log}/logs?levels=15", "text/event-stream")),
        _wrote(_LINES),
    ),
    Case(
        "long lines, compressed",
        _streams(
            20,
            lambda log: _request(
                f"{log}/logs?levels=15", "text/event-stream", "Accept-Encoding: gzip\r\n"
            ),
        ),
        _wrote(_LONG_LINES),
    ),
    Case(
        "long lines as text, compressed",
        _streams(
            20,
            lambda log: _request(
                f"{log}/logs?levels=15", "text/plain", "Accept-Encoding: gzip\r\n"
            ),
        ),
        _wrote(_LONG_LINES),
    ),
    Case("pages of long lines", _pages, _wrote(_LONG_LINES)),
    Case("1,200 long polls of one user", _polls, _define_a_sleep),
    Case(
        "40 clients that poll beyond the end of a log in a loop",
        _beyond_the_end,
        _wrote(_LINES),
    ),
)

"""Following logs over server-sent events: from the storing of a line until every follower has it.

A feeder writes stamped lines to the store as the conductor does; the client notes the clock when it
reads a line off the wire. *Delivery* is the difference, in ms. *Idle* is the processor time of the
web processes while nothing happens but heartbeats, as a share of one core.
"""

from __future__ import annotations

import re
import select
import socket
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from bench._client import Worker
from bench._report import Figure, percentile
from bench._seed import make_executions, open_store
from bench._service import Service, cpu_share
from bench.follow import feed

_STAMP = re.compile(rb'"content":"@(\d+)"')
_DROPPED = re.compile(rb"event: dropped")
_RECEIVE_BYTES = 256 * 1024
_AT_ONCE = 128
_LINES_PER_SECOND = 10
_IDLE_SECONDS = 20


def run(*, quick: bool) -> Iterator[Figure]:
    """Take the figures of server-sent events."""
    followers, seconds = (500, 3) if quick else (2_000, 10)
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        url = f"sqlite:///{folder}/slipway.db"
        database = open_store(url)
        held = make_executions(database, 1)
        database.dispose()
        with (
            Service(Path(folder), processes=2) as service,
            Worker(follow_events, service.port, held[0].id, followers) as crowd,
        ):
            crowd.receive()
            service.settle()
            idle_seconds = 5 if quick else _IDLE_SECONDS
            idle = cpu_share(service.web, idle_seconds)
            with Worker(feed, url, held, _LINES_PER_SECOND, seconds) as feeder:
                busy = cpu_share(service.web, seconds) / 2
                written, _ = feeder.receive()
            service.settle()
            crowd.send("stop")
            took, dropped = crowd.receive()
    name = f"{followers:,} followers over SSE, one execution, {_LINES_PER_SECOND} lines/s"
    yield Figure(
        f"{name}: delivery p95", percentile(took, 95), "ms", most=200,
        note=f"p50 {percentile(took, 50):.0f} ms, p99 {percentile(took, 99):.0f} ms; "
        f"each web process uses {busy:.0%} of a core",
    )  # fmt: skip
    due = written * followers
    yield Figure(f"{name}: deliveries missing", due - len(took), f"of {due:,}", most=0)
    yield Figure(f"{name}: dropped", dropped, "", most=0)
    yield Figure(f"{followers:,} idle followers over SSE", idle * 100, "% of a core", most=5)


def follow_events(pipe: Pipe, port: int, execution: str, followers: int) -> tuple[list[float], int]:
    """Follow one log many times; sends ``None`` when all have begun, ends after any message.

    Gives the deliveries in ms, and how many ``dropped`` events came.
    """
    request = (
        f"GET /executions/{execution}/logs HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Accept: text/event-stream\r\n\r\n"
    ).encode()
    epoll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    for number in range(1, followers + 1):
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        connection.send(request)
        sockets[connection.fileno()] = connection
        epoll.register(connection, select.EPOLLIN)
        if number % _AT_ONCE == 0:
            time.sleep(0.05)  # the server's queue of new connections is finite
    epoll.register(pipe, select.EPOLLIN)
    pipe.send(None)
    return _read(pipe, epoll, sockets)


def _read(
    pipe: Pipe, epoll: select.epoll, sockets: dict[int, socket.socket]
) -> tuple[list[float], int]:
    took: list[float] = []
    dropped = 0
    rest = dict.fromkeys(sockets, b"")
    while True:
        for descriptor, _ in epoll.poll():
            if descriptor == pipe.fileno():
                return took, dropped
            chunk = sockets[descriptor].recv(_RECEIVE_BYTES)
            if not chunk:
                raise ConnectionError("the server hung up")
            now_ns = time.monotonic_ns()
            whole, _, rest[descriptor] = (rest[descriptor] + chunk).rpartition(b"\n")
            took += [(now_ns - int(stamp)) / 1e6 for stamp in _STAMP.findall(whole)]
            dropped += len(_DROPPED.findall(whole))

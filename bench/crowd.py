"""Many followers of one execution over server-sent events, and one line for them all.

A command stamps a line with CLOCK_MONOTONIC just before it writes it; a follower notes the same
clock when it has read it. *Last answer* is the difference for the last follower, beside the time
that a bare WSGI application on the same server takes to answer as many held requests. *RSS of each*
is what the resident memory of the web processes grew by until all followers were idle.

The clients are several processes that come from addresses of their own (127.0.0.2, 127.0.0.3, ...),
since from one address to one port there are no more than some 28,000 connections.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection as Pipe

from app.services.places import SPARE_DESCRIPTORS
from bench._client import Worker, raise_descriptor_limit
from bench._peers import Peer
from bench._report import Figure, median, percentile
from bench._service import rss_bytes
from bench.follow import TELL, Teller, serving

_STAMP = re.compile(rb"@(\d+) ")
_BEGIN = re.compile(rb"event: status")
_BODY = re.compile(rb"\r\n\r\n{.*}", re.DOTALL)
_SSE = "text/event-stream"
_BODY_BYTES = 300
_RECEIVE_BYTES = 64 * 1024
_AT_ONCE = 128
_UNEVEN = 1.05
"""How many more connections than its share a process may get: the kernel chooses by chance."""
_CLIENTS = 2
_PROCESSES = 2
_OPEN_SECONDS = 180.0


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    yield from _few(1, most_ms=8, lines=20 if quick else 60)
    yield from _few(100, most_ms=15, lines=20 if quick else 60)
    yield from _crowd(2_000 if quick else 10_000, 1.3, rounds=1 if quick else 3)
    if not quick:
        yield from _crowd(30_000, 1.4, rounds=2)


def _few(followers: int, *, most_ms: float, lines: int) -> Iterator[Figure]:
    took: list[float] = []
    with (
        serving(TELL, 1) as service,
        Teller(service) as teller,
        _followers(service.port, teller, followers) as crowd,
    ):
        service.settle()
        for _ in range(lines):
            time.sleep(0.1)
            teller.tell()
            took += crowd.deliveries_ms()
    yield Figure(
        f"{followers} over SSE wait for a line of a command: delivery p50",
        percentile(took, 50), "ms", most=most_ms,
        note=f"p99 {percentile(took, 99):.1f} ms, {len(took):,} deliveries",
    )  # fmt: skip


def _crowd(followers: int, most_ratio: float, *, rounds: int) -> Iterator[Figure]:
    name = f"{followers:,} followers over SSE on {_PROCESSES} web processes"
    room = raise_descriptor_limit() - SPARE_DESCRIPTORS
    if followers / _PROCESSES * _UNEVEN > room:
        note = f"not measured: a process may open {room + SPARE_DESCRIPTORS:,} files (ulimit -n)"
        yield Figure(f"{name}: last answer", None, note=note)
        return
    last_ms = []
    env = {"SLIPWAY_STREAMS__MAX_TOTAL": str(followers)}
    with serving(TELL, _PROCESSES, env) as service, Teller(service) as teller:
        before = rss_bytes(service.web)
        with _followers(service.port, teller, followers) as crowd:
            service.settle()
            kib = (rss_bytes(service.web) - before) / followers / 1024
            for _ in range(rounds):
                teller.tell()
                last_ms.append(max(crowd.deliveries_ms()))
                service.settle()
    floor_ms = _floor(followers, rounds)
    last = median(last_ms)
    yield Figure(
        f"{name}: last answer", last / 1000, "s",
        ratio=last / floor_ms, beside="bare WSGI floor", most_ratio=most_ratio,
        note=f"{rounds} rounds, {min(last_ms) / 1000:.2f} to {max(last_ms) / 1000:.2f} s; "
        f"the floor {floor_ms / 1000:.2f} s",
    )  # fmt: skip
    yield Figure(f"{name}: RSS of each", kib, "KiB", most=20)


def _floor(clients: int, rounds: int) -> float:
    """Have the bare server answer as many held requests; return the time to the last, in ms."""
    last = []
    for _ in range(rounds):
        with (
            Peer("held", _BODY_BYTES, processes=_PROCESSES) as peer,
            _Crowd(peer.port, "/", "application/json", clients) as crowd,
        ):
            peer.settle()
            begun_ns = time.monotonic_ns()
            peer.release()
            last.append((max(crowd.ends_ns()) - begun_ns) / 1e6)
    return median(last)


class _Crowd:
    """Connections in several client processes.

    Args:
        port: Port of the server.
        path: What all ask for.
        accept: In which form.
        number: How many there are.
    """

    def __init__(self, port: int, path: str, accept: str, number: int) -> None:
        self._workers = ExitStack()
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n\r\n".encode()
        share = -(-number // _CLIENTS)
        self._clients: list[Worker] = []
        for first in range(0, number, share):
            source = f"127.0.0.{2 + len(self._clients)}"
            worker = Worker(_hold, source, port, request, min(share, number - first))
            self._clients.append(self._workers.enter_context(worker))

    def __enter__(self) -> _Crowd:
        for client in self._clients:
            client.receive(_OPEN_SECONDS)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._workers.close()

    def seen(self) -> Iterator[tuple[int, int]]:
        """Give what each connection saw of one line or answer: the stamp, and when it was there."""
        for client in self._clients:
            yield from client.receive()

    def deliveries_ms(self) -> list[float]:
        """Return the ms from a stamped line to its being read, for each connection."""
        return [(done_ns - stamp_ns) / 1e6 for stamp_ns, done_ns in self.seen()]

    def ends_ns(self) -> list[int]:
        """Return when each connection had its answer."""
        return [done_ns for _, done_ns in self.seen()]


@contextmanager
def _followers(port: int, teller: Teller, number: int) -> Iterator[_Crowd]:
    path = f"/executions/{teller.execution}/logs?from={teller.written}"
    with _Crowd(port, path, _SSE, number) as crowd:
        yield crowd


def _hold(pipe: Pipe, source: str, port: int, request: bytes, number: int) -> None:
    """Hold requests; say ``None`` once all are, then what each saw of each line (see ``seen``)."""
    follows = _SSE.encode() in request
    epoll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    for count in range(1, number + 1):
        made = socket.create_connection(("127.0.0.1", port), 120, source_address=(source, 0))
        made.sendall(request)
        sockets[made.fileno()] = made
        epoll.register(made, select.EPOLLIN)
        if count % _AT_ONCE == 0:
            time.sleep(0.02)  # the server's queue of new connections is finite
    if follows:
        _read_all(epoll, sockets, _BEGIN)
    pipe.send(None)
    while True:
        pipe.send(_read_all(epoll, sockets, _STAMP if follows else _BODY))


def _read_all(
    epoll: select.epoll, sockets: dict[int, socket.socket], what: re.Pattern[bytes]
) -> Sequence[tuple[int, int]]:
    """Read until something has come on each connection; return its number and the moment."""
    seen: dict[int, tuple[int, int]] = {}
    rest: dict[int, bytes] = {}
    while len(seen) < len(sockets):
        for descriptor, _ in epoll.poll():
            chunk = sockets[descriptor].recv(_RECEIVE_BYTES)
            if not chunk:
                raise ConnectionError("the server hung up")
            got = rest.get(descriptor, b"") + chunk
            found = what.search(got)
            if found is None:
                rest[descriptor] = got
            else:
                stamp_ns = int(found[1]) if found.lastindex else 0
                seen[descriptor] = stamp_ns, time.monotonic_ns()
    return list(seen.values())

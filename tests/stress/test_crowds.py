"""Thousands who follow: they come and go, are moved to other processes, and are slow."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.following import (
    SSE,
    CrowdProcess,
    EventStream,
    Relay,
    SentEvent,
    connect,
    each_exactly_once,
    handshake,
    indices,
    raise_descriptor_limit,
    request,
    rss_mib,
    sockets_of,
    vanish,
    web_socket,
)
from kit.patience import await_that
from kit.service import OPEN, WAITING, Service, metric
from kit.stress import scaled

pytestmark = pytest.mark.usefixtures("no_faults")

Did = Callable[[str], None]


def test_readers_that_come_and_go_leave_nothing(service: Service, relay: Relay, did: Did) -> None:
    rounds, size = scaled(20, 2), scaled(1000, 50)
    raise_descriptor_limit()
    client = service.client()
    pid = service.child("web")
    relay.write(5)
    log = f"{relay.path}/logs?levels=15"
    ways = [
        request(f"{log}&timeout=10m&after=1000000"),
        request(log, SSE),
        request(log, "application/x-ndjson"),
        request("/executions/events", SSE),
        handshake(f"{relay.path}/ws"),
    ]

    def come_and_go(count: int) -> None:
        held = [connect(service.url) for _ in range(count)]
        for number, connection in enumerate(held):
            connection.sendall(ways[number % len(ways)])
        await_that(lambda: metric(client, WAITING) == count, "all are held")
        for number, connection in enumerate(held):
            if number % 3:
                connection.close()
            else:
                vanish(connection)
        await_that(lambda: metric(client, WAITING) == 0, "all are noticed")

    opened = metric(client, "slipway_streams_opened_total")
    come_and_go(size)
    sockets, memory = sockets_of(pid), rss_mib(pid)
    for _ in range(rounds):
        come_and_go(size)
    assert metric(client, OPEN) == 0
    await_that(lambda: sockets_of(pid) <= sockets, "all sockets are closed")
    opened = metric(client, "slipway_streams_opened_total") - opened
    assert opened == size * 4 // 5 * (rounds + 1), "all but the long polls"
    # Each greenlet that stayed would hold tens of KiB.
    assert rss_mib(pid) - memory < 15
    did(f"{size * (rounds + 1)} readers, up to {size} at a time; no socket left")


def test_a_rolling_restart_under_followers_loses_and_repeats_nothing(
    start: Callable[..., Service], tmp_path: Path, did: Did
) -> None:
    half = scaled(1000, 30)
    service = start(WEB__PROCESSES=2, WEB__SHUTDOWN_TIMEOUT="2m")
    relay = Relay(service.client(), tmp_path)
    with CrowdProcess(service.url, relay.id, half, half) as crowd:
        assert crowd.receive() == "there"
        stop = threading.Event()

        def write() -> None:
            while not stop.wait(0.25):
                relay.write(1)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for old in service.children("web"):
                before = relay.written
                await_that(lambda before=before: relay.written > before + 4, "lines are written")
                others = set(service.children("web"))
                os.kill(old, signal.SIGTERM)
                [new] = await_that(
                    lambda others=others: set(service.children("web")) - others, "a new process"
                )
                await_that(lambda new=new: sockets_of(new) > 10, "readers come to it")
        finally:
            stop.set()
            writer.join()
        relay.write(3)
        relay.end()
        got, moves, reconnects = crowd.receive()
    assert len(got) == 2 * half
    total = relay.written + 4
    wrong = [entries for entries in got if not each_exactly_once(entries, total)]
    assert not wrong, f"{len(wrong)} followers, such as {wrong[0]}"
    assert moves >= half
    assert reconnects >= half
    assert "cut off" not in service.log
    did(f"{2 * half} followers, {moves} moved, {reconnects} came again; {total} entries each once")


def gaps_of(events: list[SentEvent], first: int, total: int) -> list[range]:
    """Make sure that events tell all of a log from an index on; return what was dropped."""
    dropped = [event.data for event in events if event.event == "dropped"]
    gaps = [range(data["after"] + 1, data["next"]) for data in dropped]
    assert [data["count"] for data in dropped] == [len(gap) for gap in gaps]
    missed = {index for gap in gaps for index in gap}
    assert indices(events) == [index for index in range(first, total) if index not in missed]
    assert events[-1].event == "end"
    return gaps


class TestSlowReaders:
    LINES = scaled(200_000, 30_000)
    TEXT = "x" * 150

    @pytest.fixture
    def started(self, start: Callable[..., Service]) -> Service:
        return start(STREAMS__MAX_LAG=5000, STREAMS__HEARTBEAT="500ms")

    def test_one_that_does_not_read_costs_no_memory_and_slows_nobody(
        self, started: Service, tmp_path: Path, did: Did
    ) -> None:
        client = started.client()
        pid = started.child("web")
        relay = Relay(client, tmp_path)
        path = f"{relay.path}/logs?levels=15"
        relay.write(1, self.TEXT)
        stuck = [EventStream(started.url, path, receive_bytes=4096) for _ in range(20)]
        for stream in stuck:
            stream.until(lambda event: event.event == "log" and event.id == 2)
        stuck_socket = web_socket(started.url, f"{relay.path}/ws?levels=15")
        with EventStream(started.url, f"{path}&after=2") as quick:
            quick.until(lambda event: event.event == "status")
            before = rss_mib(pid)
            writer = threading.Thread(target=lambda: (
                relay.write(self.LINES - 1, self.TEXT), relay.end()
            ))  # fmt: skip
            writer.start()
            events = quick.read()
            writer.join()
        total = self.LINES + 4
        # Whoever reads as fast as it comes gets it all, unless the machine itself was too slow.
        gaps_of(events, 3, total)
        assert rss_mib(pid) - before < 60

        for stream in stuck[:2]:
            gaps = gaps_of(stream.read(), 3, total)
            assert max(map(len, gaps)) > 5000
            for gap in gaps:
                [first] = client.page(relay.id, gap.start, size=1)["logs"]
                assert first["index"] == gap.start
        for stream in stuck[2:]:
            vanish(stream.socket)
        stuck_socket.sock.close()
        await_that(lambda: metric(client, OPEN) == 0, "all are let go")
        did(f"{self.LINES} lines beside {len(stuck) + 1} clients that do not read")


def test_a_long_log_that_is_read_holds_up_nobody_and_stays_nowhere(
    service: Service, tmp_path: Path, did: Did
) -> None:
    client = service.client()
    relay = Relay(client, tmp_path)
    lines = scaled(1_000_000, 30_000)
    threading.Thread(target=lambda: (relay.write(lines, "y" * 60), relay.end())).start()
    client.wait(relay.id)
    await_that(lambda: client.page(relay.id, lines * 2, size=0)["complete"], "all is stored")
    pid = service.child("web")
    before = rss_mib(pid)
    path = f"{relay.path}/logs?levels=15"
    for accept in (SSE, "application/x-ndjson", "text/plain"):
        answered, done = [], threading.Event()

        def ask(answered: list[float] = answered, done: threading.Event = done) -> None:
            other = service.client()
            while not done.is_set():
                other.get("/health")
                answered.append(time.monotonic())

        with connect(service.url) as reader:
            asker = threading.Thread(target=ask)
            asker.start()
            reader.sendall(request(path, accept))
            begun, count = time.monotonic(), 0
            while new := reader.recv(1 << 18):
                count += new.count(b"y" * 60)
            ended = time.monotonic()
        done.set()
        asker.join()
        assert abs(count - lines) < lines / 100  # some stand across two pieces
        assert sum(begun < moment < ended for moment in answered) > min(20, lines // 10_000)
    assert rss_mib(pid) - before < 80
    did(f"{lines} lines in three forms, while others are answered")

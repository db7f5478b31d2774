"""Readers that come and go, and what the real service keeps of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.following import (
    OPEN,
    SSE,
    WAITING,
    EventStream,
    Relay,
    connect,
    handshake,
    is_log,
    metric,
    raise_descriptor_limit,
    request,
    rss_mib,
    sockets_of,
    vanish,
)
from kit.patience import await_that
from kit.service import Service

pytestmark = pytest.mark.usefixtures("no_faults")


def test_five_thousand_readers_that_come_and_go_leave_nothing(
    service: Service, relay: Relay
) -> None:
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

    come_and_go(500)
    sockets, memory = sockets_of(pid), rss_mib(pid)
    for _ in range(10):
        come_and_go(500)
    assert metric(client, OPEN) == 0
    await_that(lambda: sockets_of(pid) <= sockets, "all sockets are closed")
    assert metric(client, "slipway_streams_opened_total") == 0.8 * 5500
    # Each greenlet that stayed would hold tens of KiB.
    assert rss_mib(pid) - memory < 15


def test_readers_of_a_quiet_log_do_not_delay_the_next_line(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    service = start(STREAMS__HEARTBEAT="50ms")
    relay = Relay(service.client(), tmp_path)
    path = f"{relay.path}/logs?levels=15"
    held = [EventStream(service.url, path) for _ in range(50)]
    for stream in held:
        stream.until(lambda event: event.event == "log" and event.id == 1)
    time.sleep(3)  # thousands of heartbeats
    relay.write(1)
    for stream in held:
        stream.until(is_log(0))
        stream.socket.close()
    relay.end()

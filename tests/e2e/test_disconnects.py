"""Readers that come and go, and what the real service keeps of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.following import (
    EventStream,
    Relay,
    is_log,
)
from kit.service import Service

pytestmark = pytest.mark.usefixtures("no_faults")


def test_readers_of_a_quiet_log_do_not_delay_the_next_line(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    service = start(STREAMS__HEARTBEAT="50ms")
    relay = Relay(service.client(), tmp_path)
    path = f"{relay.path}/logs?levels=15"
    held = [EventStream(service.url, path) for _ in range(50)]
    for stream in held:
        stream.until(lambda event: event.event == "log" and event.id == 1)
    time.sleep(1)  # a thousand heartbeats
    relay.write(1)
    for stream in held:
        stream.until(is_log(0))
        stream.socket.close()
    relay.end()

"""Thousands who watch the metrics of one execution, each over a WebSocket of their own."""

from __future__ import annotations

import json
import selectors
import time
from collections.abc import Callable

import pytest
import websocket
from fakes.load_target import Answer, LoadTarget
from kit.engine_v1 import EngineClient, get_step, load
from kit.following import cpu_seconds, raise_descriptor_limit, web_socket
from kit.patience import PATIENCE_SECONDS
from kit.service import Service
from kit.stress import scaled


class Watcher:
    """One who watches; what they get is kept as it came.

    Attributes:
        messages: The texts of all messages.
        code: The code that the connection was closed with, and nothing before.
    """

    def __init__(self, url: str, path: str) -> None:
        self.messages: list[bytes] = []
        self.code: int | None = None
        self.connection = web_socket(url, path)

    def take(self) -> None:
        """Read the message that has come; a ping is answered by itself."""
        opcode, data = self.connection.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_TEXT:
            self.messages.append(data)
        elif opcode == websocket.ABNF.OPCODE_CLOSE:
            self.code = int.from_bytes(data[:2], "big")


class Watchers:
    """Many of them, read by one thread."""

    def __init__(self, url: str, path: str, size: int) -> None:
        self._selector = selectors.DefaultSelector()
        self.all: list[Watcher] = []
        for _ in range(size):
            watcher = Watcher(url, path)
            self._selector.register(watcher.connection, selectors.EVENT_READ, watcher)
            self.all.append(watcher)

    def read_until(self, holds: Callable[[], bool]) -> None:
        """Read what comes until something holds."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < end, "it did not come to that"
            for key, _ in self._selector.select(0.2):
                watcher: Watcher = key.data
                watcher.take()
                if watcher.code is not None:
                    self._selector.unregister(watcher.connection)
                    watcher.connection.shutdown()

    def close(self) -> None:
        for watcher in self.all:
            watcher.connection.shutdown()
        self._selector.close()


@pytest.fixture
def watched(
    start: Callable[..., Service], load_target: LoadTarget
) -> tuple[Service, EngineClient, str]:
    """A service of one web process, and an execution that runs there."""
    service = start(WEB__PROCESSES=1)
    load_target.answer("/get", Answer(delay=0.1))
    client = EngineClient(service.url)
    execution = client.submit(load(get_step(f"{load_target.url}/get"), vus=10, duration="1h"))
    client.until(execution, "running")
    return service, client, execution


def test_thousands_of_watchers_get_the_messages_that_are_made_for_one(
    watched: tuple[Service, EngineClient, str], did: Callable[[str], None]
) -> None:
    service, client, execution = watched
    size, seconds = scaled(5000, 100), scaled(20, 3)
    raise_descriptor_limit()
    pid, begin = service.child("web"), time.monotonic()
    crowd = Watchers(service.url, f"/api/v1/executions/{execution}/ws", size)
    try:
        crowd.read_until(lambda: all(watcher.messages for watcher in crowd.all))
        there, cpu = time.monotonic(), cpu_seconds(pid)
        wanted = {watcher: len(watcher.messages) + seconds for watcher in crowd.all}
        crowd.read_until(lambda: all(len(w.messages) >= most for w, most in wanted.items()))
        share = (cpu_seconds(pid) - cpu) / (time.monotonic() - there)
        client.stop(execution)
        crowd.read_until(lambda: all(watcher.code is not None for watcher in crowd.all))
    finally:
        crowd.close()
    assert {watcher.code for watcher in crowd.all} == {1000}
    final = {watcher.messages[-1] for watcher in crowd.all}
    assert len(final) == 1, "the last message is one for all"
    told = json.loads(final.pop())["data"]
    assert told["http_reqs"]["count"] == client.metrics(execution)["step_metrics"]["s1"]["count"]
    made = {text for watcher in crowd.all for text in watcher.messages}
    sent = sum(len(watcher.messages) for watcher in crowd.all)
    assert len(made) <= time.monotonic() - begin + 3, "one a second, however many they are"
    did(f"{size} watchers, {sent} messages, {len(made)} of them made; {share:.0%} of a core")

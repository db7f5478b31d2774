"""Counting in a real Redis: for several processes together, and whatever befalls the server."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.patience import await_that
from kit.ports import free_port
from kit.servers.cable import Cable
from kit.servers.redis import RedisServer

from app.clients import shared_windows
from app.clients.shared_windows import SharedWindows
from app.identity.attempts import Attempts
from app.windows import Demand, MemoryWindows

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    yield made
    made.stop()


class Opened:
    """Shared counters, and what they told of whether they can be used."""

    def __init__(self, url: str) -> None:
        self.told: list[bool] = []
        self.windows = SharedWindows(url, self.told.append)

    def granted(self, number: int, limit: int = 60, key: str = "ada") -> int:
        taken = [self.windows.take([Demand(key, limit, 1)]) for _ in range(number)]
        return sum(each is not None and each.granted for each in taken)

    @property
    def is_used(self) -> bool:
        return self.windows.take([Demand("other", 1_000_000, 1)]) is not None


@pytest.fixture
def opened(server: RedisServer) -> Iterator[Opened]:
    made = Opened(server.url)
    yield made
    made.windows.close()


def test_processes_count_together_and_keys_go_away_by_themselves(server, opened):
    other = Opened(server.url.replace("redis://", "valkey://"))
    assert opened.granted(40) + other.granted(40) == 60
    assert other.granted(5) == 0
    assert 60 < server.command("TTL", "slipway:window:ada") <= 120
    other.windows.close()


def test_processes_whose_clocks_differ_count_in_the_same_windows(server, opened, monkeypatch):
    class Ahead:
        monotonic = staticmethod(lambda: time.monotonic() + 5.0)

    other = Opened(server.url)
    assert opened.granted(30) == 30
    with monkeypatch.context() as patch:
        patch.setattr(shared_windows, "time", Ahead)
        assert other.granted(40) == 30
    assert opened.granted(5) == 0
    assert opened.told == other.told == [], "no request is late by the clock of another"
    other.windows.close()


def test_what_one_counter_refuses_no_counter_counts(opened):
    both = [Demand("requests", 60, 1), Demand("launches", 1, 1)]
    assert opened.windows.take(both).granted
    refused = opened.windows.take(both)
    assert not refused.granted
    assert [window.remaining for window in refused.windows] == [59, 0]
    assert 0 < refused.windows[1].wait_seconds(1) <= 61


def test_it_computes_as_the_memory_of_a_process_does(monkeypatch, server):
    monkeypatch.setattr(
        shared_windows, "_TAKE",
        shared_windows._TAKE.replace(
            "local now = time[1] * 1000 + math.floor(time[2] / 1000)",
            "local now = tonumber(redis.call('GET', 'clock'))",
        ),
    )  # fmt: skip
    now = 1_000_000
    server.command("SET", "clock", str(now))
    shared = SharedWindows(server.url, lambda usable: None)
    memory = MemoryWindows(clock=lambda: now / 1000)
    chance = random.Random(1)
    for _ in range(600):
        now += chance.choice([0, 1, 250, 3_000, 20_000, 59_999, 60_000, 130_000])
        server.command("SET", "clock", str(now))
        shared._clock.forget()
        demands = [
            Demand(key, limit, chance.choice([1, 1, 2]))
            for key, limit in (("a", 7), ("b", 2), ("c", 60))
            if chance.random() < 0.7
        ]
        assert shared.take(demands).granted == memory.take(demands).granted
        assert state(shared) == state(memory)
    shared.close()


def state(windows: SharedWindows | MemoryWindows) -> tuple[int, int, float]:
    taken = windows.take([Demand("c", 60, 0)])
    assert taken is not None
    (window,) = taken.windows
    return window.previous, window.current, round(window.left_seconds, 3)


def readonly(server: RedisServer) -> None:
    server.command("REPLICAOF", "127.0.0.1", str(free_port()))


def well_again(server: RedisServer) -> None:
    server.command("REPLICAOF", "NO", "ONE")


FAULTS = {
    "hangs": (
        lambda s: s.signal(signal.SIGSTOP), lambda s: s.signal(signal.SIGCONT)),
    "killed": (lambda s: s.stop(), lambda s: s.start()),
    "a replica": (readonly, well_again),
    "out of memory": (
        lambda s: s.command("CONFIG", "SET", "maxmemory", "1"),
        lambda s: s.command("CONFIG", "SET", "maxmemory", "0")),
    "another password": (
        lambda s: (s.command("CONFIG", "SET", "requirepass", "x"),
                   s.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", password="x")),
        lambda s: s.command("CONFIG", "SET", "requirepass", "", password="x")),
}  # fmt: skip


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_what_went_on_without_an_answer_is_never_counted(server, opened, seconds):
    assert opened.granted(10) == 10
    server.signal(signal.SIGSTOP)
    assert opened.granted(1) == 0
    time.sleep(seconds)
    server.signal(signal.SIGCONT)
    await_that(lambda: opened.is_used, "the counters are used again")
    assert opened.granted(60) == 50


def test_an_answer_that_is_read_late_makes_no_later_request_late(opened, monkeypatch):
    assert opened.granted(1) == 1
    clock = opened.windows._clock
    told_ms = clock.at(time.monotonic() - 5.0)
    clock.learn(told_ms, time.monotonic() - 5.1)  # the loop was busy for five seconds
    assert opened.granted(1) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_befalls_the_server_nobody_waits_and_it_is_used_again(server, opened, fault):
    befall, mend = FAULTS[fault]
    assert opened.granted(10) == 10
    befall(server)
    asked = []
    opened.windows._server.connection_pool.get_connection = _counting(
        opened.windows._server.connection_pool.get_connection, asked
    )
    assert [opened.windows.take([Demand("ada", 60, 1)]) for _ in range(100)] == [None] * 100
    assert opened.told == [False]
    assert len([who for who in asked if who == "MainThread"]) <= 2, "the others do not ask at all"
    mend(server)
    await_that(lambda: opened.is_used, "the counters are used again")
    assert opened.told == [False, True]
    survived = fault != "killed"
    assert opened.granted(100) == (50 if survived else 60), "nothing is charged afterwards"


def _counting(function, calls):
    def counted(*args, **kwargs):
        calls.append(threading.current_thread().name)
        return function(*args, **kwargs)

    return counted


def test_packets_that_are_dropped_are_noticed_and_mended(server):
    cable = Cable(server.port)
    opened = Opened(f"redis://127.0.0.1:{cable.port}/0")
    assert opened.granted(1) == 1
    cable.die()
    assert opened.granted(5) == 0
    assert opened.told == [False]
    cable.mend()
    await_that(lambda: opened.is_used, "the counters are used again")
    opened.windows.close()
    cable.close()


def test_a_server_that_is_not_there_at_the_start_is_used_when_it_comes(server):
    server.stop()
    opened = Opened(server.url)
    assert not opened.is_used
    server.start()
    await_that(lambda: opened.is_used, "the counters are used")
    opened.windows.close()


def test_a_clock_that_was_set_is_noticed_and_lasts_no_longer_than_a_probe(opened):
    assert opened.granted(1) == 1
    opened.windows._clock._ahead_ms -= 10_000
    assert opened.granted(1) == 0
    await_that(lambda: opened.is_used, "the counters are used again")


def test_wrong_logins_seen_by_one_process_slow_down_the_other(server, opened):
    one, other = Attempts(opened.windows), Attempts(opened.windows)
    for _ in range(8):
        one.failed("ada", "10.0.0.1")
    other.check("ada", "10.0.0.1")
    other.failed("ada", "10.0.0.1")
    assert other._pairs.get(("ada", "10.0.0.1")).number == 9
    other.check("ada", "10.0.0.2")
    server.stop()
    other.failed("ada", "10.0.0.1")
    assert other._pairs.get(("ada", "10.0.0.1")).number == 10, "it goes on by its own count"

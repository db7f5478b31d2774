"""Following logs from the real service, as many do at the same time and not always politely."""

from __future__ import annotations

import select
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import websocket
from kit.definitions import script, workflow
from kit.following import (
    OPEN,
    SSE,
    EventStream,
    Relay,
    SentEvent,
    connect,
    indices,
    metric,
    request,
    rss_mib,
    vanish,
    web_socket,
)
from kit.patience import await_that
from kit.service import Service

pytestmark = pytest.mark.usefixtures("no_faults")


def test_one_connection_tells_of_all_executions(service: Service) -> None:
    client = service.client()
    client.upload(workflow("held", script("wait", "sleep 60")))
    first = client.launch("held")
    client.wait(first, "RUNNING")
    told: dict[str, list[str]] = {}
    with EventStream(service.url, "/executions/events") as events:

        def read_until_all_are(status: str) -> None:
            while {statuses[-1] for statuses in told.values()} != {status}:
                [event] = events.until(lambda _: True)
                told[event.data["id"]].append(event.data["state"])

        told[first] = [""]
        read_until_all_are("RUNNING")
        told |= {client.launch("held"): [""] for _ in range(3)}
        read_until_all_are("RUNNING")
        for execution in told:
            client.cancel(execution)
        read_until_all_are("CANCELLED")
    order = ["", "PENDING", "RUNNING", "CANCELLING", "CANCELLED"]
    for statuses in told.values():
        assert statuses == sorted(statuses, key=order.index), "no status comes back"


def gaps_of(events: list[SentEvent], first: int, total: int) -> list[range]:
    """Make sure that events tell all of a log from an index on; give what they say was dropped."""
    dropped = [event.data for event in events if event.event == "dropped"]
    gaps = [range(data["after"] + 1, data["next"]) for data in dropped]
    assert [data["count"] for data in dropped] == [len(gap) for gap in gaps]
    missed = {index for gap in gaps for index in gap}
    assert indices(events) == [index for index in range(first, total) if index not in missed]
    assert events[-1].event == "end"
    return gaps


class TestSlowReaders:
    LINES = 60_000
    TEXT = "x" * 150

    @pytest.fixture
    def started(self, start: Callable[..., Service]) -> Service:
        return start(STREAMS__MAX_LAG=5000, STREAMS__HEARTBEAT="500ms")

    def test_one_that_does_not_read_costs_no_memory_and_slows_nobody(
        self, started: Service, tmp_path: Path
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


def test_a_long_log_that_is_read_holds_up_nobody_and_stays_nowhere(
    service: Service, tmp_path: Path
) -> None:
    client = service.client()
    relay = Relay(client, tmp_path)
    lines = 150_000
    threading.Thread(target=lambda: (relay.write(lines, "y" * 60), relay.end())).start()
    client.wait(relay.id)
    await_that(lambda: client.page(relay.id, size=0)["complete"], "all is stored")
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
        assert sum(begun < moment < ended for moment in answered) > 20
    assert rss_mib(pid) - before < 80


class TestLimits:
    def test_too_many_streams_are_refused_and_told_when_to_come_back(
        self, start: Callable[..., Service], tmp_path: Path
    ) -> None:
        service = start(STREAMS__MAX_TOTAL=3)
        client = service.client()
        relay = Relay(client, tmp_path)
        path = f"{relay.path}/logs"
        held = [EventStream(service.url, path) for _ in range(3)]
        for stream in held:
            stream.until(lambda event: event.event == "status")
        for refused in (path, "/executions/events"):
            answer = client.send("GET", refused, headers={"Accept": SSE})
            assert answer.status_code == 429
            assert answer.json()["code"] == "limit_exceeded"
            assert 10 <= int(answer.headers["Retry-After"]) <= 15
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            web_socket(service.url, f"{relay.path}/ws")
        assert caught.value.status_code == 429
        assert client.page(relay.id)["logs"], "a long poll is no stream"
        held[0].socket.close()
        await_that(lambda: metric(client, OPEN) == 2, "the place is free")
        with EventStream(service.url, path) as again:
            again.until(lambda event: event.event == "status")
        for stream in held[1:]:
            stream.socket.close()
        relay.end()


def test_who_never_stops_asking_is_held_by_whichever_process_he_reaches(
    start: Callable[..., Service],
) -> None:
    started = start(WEB__PROCESSES=2)
    client = started.client()
    execution = client.run(workflow("quick", script("say", "echo done")))
    total = len(client.follow(execution))
    ask = request(f"/executions/{execution}/logs?from={total}&size=50&levels=15&timeout=10m")
    polls = [connect(started.url) for _ in range(40)]
    assert client.page(execution, total, timeout="10m")["complete"] is True
    with ExitStack() as open_:
        for poll in polls:
            open_.enter_context(poll)
        for poll in polls:
            poll.sendall(ask)
        answered, _, _ = select.select(polls, [], [], 1.0)
        assert not answered, "all but the first wait"
        assert client.page(execution, total)["complete"] is True
        started.send(signal.SIGTERM)
        for poll in polls:
            assert b'"complete":true' in b"".join(iter(lambda p=poll: p.recv(65536), b""))

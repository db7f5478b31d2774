"""Following logs from the real service, as many do at the same time and not always politely."""

from __future__ import annotations

import select
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import websocket
from kit.definitions import script, workflow
from kit.following import (
    SSE,
    EventStream,
    Relay,
    connect,
    request,
    web_socket,
)
from kit.patience import await_that
from kit.service import OPEN, Service, metric

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

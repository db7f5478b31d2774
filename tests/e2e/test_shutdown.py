"""What the readers of the real service get when its processes stop."""

from __future__ import annotations

import json
import os
import signal
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from kit.following import (
    EventStream,
    Relay,
    close_frame,
    connect,
    indices,
    is_stuck,
    read_all,
    request,
    web_socket,
)
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import WAITING, Service, metric

pytestmark = pytest.mark.usefixtures("no_faults")


def test_every_reader_is_answered_and_told_where_to_go_on(service: Service, relay: Relay) -> None:
    client = service.client()
    relay.write(3)
    await_that(lambda: client.page(relay.id)["total_results"] == 5, "all is stored")
    path = f"{relay.path}/logs?levels=15"
    polls = [connect(service.url) for _ in range(100)]
    for poll in polls:
        poll.sendall(request(f"{path}&from=5&timeout=10m"))
    streams = [EventStream(service.url, path) for _ in range(100)]
    texts = connect(service.url)
    texts.sendall(request(f"{path}&follow=true", "text/plain"))
    sockets = [web_socket(service.url, f"{relay.path}/ws?levels=15") for _ in range(10)]
    events = EventStream(service.url, "/executions/events")
    events.until(lambda event: event.event == "status")
    for stream in streams:
        stream.until(lambda event: event.id == 4)
    for ws in sockets:
        while json.loads(ws.recv()).get("index") != 4:
            pass
    text = b""
    while not text.endswith(b"2 \n"):
        text += texts.recv(1 << 16)
    await_that(lambda: metric(client, WAITING) == 212, "all are held")

    service.send(signal.SIGTERM)
    for poll in polls:
        answer = read_all(poll)
        assert answer.startswith(b"HTTP/1.1 200")
        page = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert (page["logs"], page["total_results"], page["complete"]) == ([], 5, False)
    for stream in (*streams, events):
        assert [event.event for event in stream.read()] == ["moved"]
    assert read_all(texts).endswith(b"--- this server stops; go on with after=4 ---\n")
    for ws in sockets:
        assert close_frame(ws) == (1001, b"come back with after=4")
    assert service.join() == 0
    assert "cut off" not in service.log

    service.start()
    with EventStream(service.url, path, Last_Event_ID="4") as stream:
        relay.write(1)
        relay.end()
        assert indices(stream.read()) == [5, 6, 7]


def test_it_is_not_ready_before_the_last_reader_is_gone(service: Service, relay: Relay) -> None:
    client = service.client()
    relay.write(40_000, "z" * 150)
    await_that(lambda: client.page(relay.id, size=0)["total_results"] > 40_000, "all is stored")
    stuck = EventStream(service.url, f"{relay.path}/logs?levels=15", receive_bytes=4096)
    await_that(lambda: is_stuck(stuck.socket), "the rest does not get through")
    parts = urlsplit(service.url)
    # An answer that is under way when the signal comes is the last one on its connection.
    kept = [
        HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE_SECONDS) for _ in "abc"
    ]
    assert [readiness(connection)[0] for connection in kept] == [200, 200, 200]
    os.kill(service.child("web"), signal.SIGTERM)

    def refusal() -> list[Any] | None:
        status, connection, body = readiness(kept[0])
        if status == 503:
            return [connection, body]
        if connection == "close":
            kept.pop(0)
        return None

    connection, body = await_that(refusal, "it is not ready")
    assert body["ready"] is False
    [web] = [check for check in body["checks"] if check["name"] == "web"]
    assert web == {"name": "web", "ok": False, "problem": "the process is about to stop"}
    assert connection == "close"
    for open_ in kept:
        open_.close()
    stuck.socket.close()


def readiness(connection: HTTPConnection) -> tuple[int, str | None, Any]:
    """Ask whether it is ready; return the status, the connection's fate, and the answer."""
    connection.request("GET", "/ready")
    answer = connection.getresponse()
    return answer.status, answer.getheader("Connection"), json.loads(answer.read())

"""WebSockets of the real service, and clients that do not keep to the protocol."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import websocket
from kit.client import Client
from kit.definitions import script, workflow
from kit.following import (
    Relay,
    close_frame,
    connect,
    each_exactly_once,
    handshake,
    sockets_of,
    vanish,
    web_socket,
)
from kit.patience import await_that
from kit.service import OPEN, WAITING, Service, metric

pytestmark = pytest.mark.usefixtures("no_faults")

GOODBYE = bytes.fromhex("8882 00000000 03e8")  # masked, as all that a client sends
GARBAGE = [
    b"\xff" * 20,
    b"GET /health HTTP/1.1\r\nHost: slipway\r\n\r\n",
    b"\x81\x05hello",  # not masked
    bytes.fromhex("8184 00000000 ffffffff"),  # text that is not UTF-8
    bytes.fromhex("89fe 007e 00000000"),  # a ping that is longer than one may be
]


def test_it_tells_all_that_happens_and_why_it_closes(client: Client, tmp_path: Path) -> None:
    relay = Relay(client, tmp_path)
    ws = web_socket(client.url, f"{relay.path}/ws?levels=15")
    relay.write(3)
    messages: list[dict[str, object]] = []
    while not any(m.get("content") == "2 " for m in messages):
        messages.append(json.loads(ws.recv()))
    relay.end()
    while messages[-1]["type"] != "end":
        messages.append(json.loads(ws.recv()))
    assert close_frame(ws) == (1000, b"the execution has ended: SUCCESS")
    logged = [m["index"] for m in messages if m["type"] == "log"]
    assert each_exactly_once(logged, 7)
    statuses = [m["status"] for m in messages if m["type"] == "status"]
    assert (statuses[0], statuses[-1]) == ("RUNNING", "SUCCESS")
    tasks = [(m["name"], m["status"]) for m in messages if m["type"] == "task"]
    assert (tasks[0], tasks[-1]) == (("relay", "RUNNING"), ("relay", "SUCCESS"))
    numbers = [m for m in messages if m["type"] == "metrics"]
    assert numbers[-1] == {"type": "metrics", "tasks": 1, "tasks_done": 1, "tasks_running": 0}
    assert messages[-1] == {"type": "end", "status": "SUCCESS", "state": "SUCCESS", "total": 7}
    assert ws.sock is not None
    assert ws.sock.recv(1) == b"", "the server closes the connection as well"


def test_a_task_that_says_nothing_is_told_of_when_it_begins(client: Client) -> None:
    quiet = workflow("quiet", script("one", "sleep 0.3"), script("two", "sleep 30", needs=["one"]))
    execution = client.run(quiet)
    ws = web_socket(client.url, f"/executions/{execution}/ws?levels=8")
    seen = []
    while ("two", "RUNNING") not in seen:
        message = json.loads(ws.recv())
        assert message["type"] != "log"
        seen.append((message.get("name"), message.get("status")))
    assert ("one", "SUCCESS") in seen
    ws.close()
    client.cancel(execution)


def test_a_goodbye_is_answered_with_the_same_words(service: Service, relay: Relay) -> None:
    ws = web_socket(service.url, f"{relay.path}/ws")
    ws.send_close(1000, b"enough")
    assert close_frame(ws) == (1000, b"enough")
    assert ws.sock.recv(1) == b"", "the server closes the connection as well"
    client = service.client()
    await_that(lambda: metric(client, OPEN) == 0, "it is let go")


def test_who_does_not_keep_to_the_protocol_is_let_go(service: Service, relay: Relay) -> None:
    polite = web_socket(service.url, f"{relay.path}/ws")
    for garbage in GARBAGE:
        ws = web_socket(service.url, f"{relay.path}/ws")
        ws.sock.sendall(garbage)
        assert close_frame(ws)[0] in (1002, 1007), garbage
        assert ws.sock.recv(1) == b"", garbage
    client = service.client()
    await_that(lambda: metric(client, OPEN) == 1, "only the polite one is left")
    relay.write(1)
    while json.loads(polite.recv()).get("content") != "0 ":
        pass
    polite.close()


def test_a_client_that_goes_is_noticed_at_once(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    service = start(STREAMS__HEARTBEAT="10m")
    client = service.client()
    relay = Relay(client, tmp_path)
    polite, rude, gone = (web_socket(service.url, f"{relay.path}/ws") for _ in range(3))
    await_that(lambda: metric(client, OPEN) == 3, "all are open")
    polite.close()
    vanish(rude.sock)
    gone.sock.shutdown(socket.SHUT_WR)
    await_that(lambda: metric(client, OPEN) == 0, "all are noticed")
    assert metric(client, WAITING) == 0
    gone.sock.close()
    relay.end()


def test_clients_may_vanish_at_any_moment(service: Service, relay: Relay) -> None:
    client = service.client()
    pid = service.child("web")
    assert metric(client, OPEN) == 0
    sockets = sockets_of(pid)
    for number in range(60):
        connection = connect(service.url)
        connection.sendall(handshake(f"{relay.path}/ws"))
        if number % 3:
            assert connection.recv(100).startswith(b"HTTP/1.1 101")
        if number % 3 == 2:
            connection.sendall(GOODBYE)
        vanish(connection)
    held = [web_socket(service.url, f"{relay.path}/ws") for _ in range(60)]
    relay.write(1000)
    relay.end()
    for number, ws in enumerate(held):
        if number % 2:
            ws.sock.sendall(GOODBYE)
        vanish(ws.sock)
    await_that(lambda: sockets_of(pid) <= sockets, "all sockets are closed")
    assert metric(client, OPEN) == 0


def test_pings_come_and_who_does_not_answer_is_let_go(
    start: Callable[..., Service], tmp_path: Path
) -> None:
    service = start(STREAMS__HEARTBEAT="500ms")
    client = service.client()
    relay = Relay(client, tmp_path)
    alive, silent = (web_socket(service.url, f"{relay.path}/ws") for _ in range(2))
    pings = 0
    while metric(client, OPEN) == 2:
        code, _ = alive.recv_data(control_frame=True)  # answers pings by itself
        pings += code == websocket.ABNF.OPCODE_PING
    assert pings
    alive.ping("?")
    while code != websocket.ABNF.OPCODE_PONG:
        code, _ = alive.recv_data(control_frame=True)
    assert metric(client, OPEN) == 1
    silent.sock.close()
    alive.close()
    relay.end()


def test_a_handshake_that_is_none_is_refused(client: Client, tmp_path: Path) -> None:
    relay = Relay(client, tmp_path)
    answer = client.send("GET", f"{relay.path}/ws")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        web_socket(client.url, f"/executions/{'0' * 36}/ws")
    assert caught.value.status_code == 404
    assert client.send("GET", "/health").status_code == 200
    relay.end()

"""Crowds that are refused: whoever asks among them is answered before most of them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from kit.client import Client
from kit.patience import PATIENCE_SECONDS
from kit.service import Service

CROWD = 200
OTHERS = 8
ELSEWHERE = 30
LONG = 30
"""Seconds, of which a crowd takes a few."""
USER = ("ada", "ada's password")
KEY = "slw_" + "0" * 46


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    users = json.dumps([{"username": USER[0], "password": USER[1], "roles": ["user"]}])
    env = {
        "SLIPWAY_API__AUTH__TYPE": "[basic, api_key]",
        "SLIPWAY_API__AUTH__USERS": users,
        "SLIPWAY_OBSERVABILITY__ACCESS_LOG": "all",
        "SLIPWAY_OBSERVABILITY__LOG_FORMAT": "json",
    }
    made = Service(tmp_path_factory.mktemp("crowds"), env=env)
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def wrong_login(service: Service) -> None:
    """Ada's name has to wait here, so that each of the crowd is refused without a look.

    After many wrong logins elsewhere, where nobody has to wait for a first one, the wait is so long
    that it outlasts the crowd.
    """
    for number in range(2, 2 + ELSEWHERE):
        with socket.create_connection(
            place(service), PATIENCE_SECONDS, source_address=(f"127.0.0.{number}", 0)
        ) as made:
            made.sendall(GUESS)
            assert read_answer(made) == 401
    here = Client(service.url, (USER[0], "wrong"))
    assert here.send("GET", "/executions").status_code == 401
    assert int(here.send("GET", "/executions").headers["Retry-After"]) >= LONG


def place(service: Service) -> tuple[str, int]:
    host, port = service.url.removeprefix("http://").split(":")
    return host, int(port)


def request(path: str, fields: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()


GUESS = request("/executions", "Authorization: Basic YWRhOndyb25n\r\n")


@pytest.mark.usefixtures("wrong_login")
def test_guesses_hold_up_nobody_else(service: Service) -> None:
    assert_nobody_else_waits(service, GUESS, {429})


@pytest.mark.parametrize(
    ("asked", "statuses"),
    [
        (request("/executions", f"X-API-Key: {KEY}\r\n"), {401, 429}),
        (request("/executions"), {401}),
        (request("/executions/events?ticket=none"), {401}),
        (request("/nothing/here"), {404}),
        (request("/health", "not a field\r\n"), {400}),
    ],
    ids=["wrong keys", "no credentials", "wrong tickets", "unknown addresses", "no requests"],
)
def test_they_hold_up_nobody_else(service: Service, asked: bytes, statuses: set[int]) -> None:
    assert_nobody_else_waits(service, asked, statuses)


def assert_nobody_else_waits(service: Service, asked: bytes, statuses: set[int]) -> None:
    """Let a crowd ask for something, and others among it for something else."""
    address = place(service)
    already = len(service.log)
    with ExitStack() as stack:

        def opened() -> socket.socket:
            made = socket.create_connection(address, timeout=PATIENCE_SECONDS)
            made.sendall(request("/health"))
            read_answer(made)
            return stack.enter_context(made)

        crowd, others = [[opened() for _ in range(number)] for number in (CROWD, OTHERS)]
        web = service.child("web")
        os.kill(web, signal.SIGSTOP)  # it finds all of them at once when it goes on
        try:
            for number, each in enumerate(crowd):
                each.sendall(asked)
                if number % (CROWD // OTHERS) == 0:
                    others[number * OTHERS // CROWD].sendall(request("/version"))
        finally:
            os.kill(web, signal.SIGCONT)
        for each in crowd:
            assert read_answer(each) in statuses
        assert [read_answer(other) for other in others] == [200] * OTHERS
    order = re.findall(r'"path": "([^"]*)"|"request refused"', service.log[already:])
    assert len(order) >= CROWD + OTHERS
    assert order[::-1].index("/version") > CROWD / 2, "most of the crowd is answered afterwards"


def read_answer(sock: socket.socket) -> int:
    """Read one whole answer, and return its status."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    assert found
    while len(body) < int(found[1]):
        body += sock.recv(65536)
    return int(head.split()[1])

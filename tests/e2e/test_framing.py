"""Launches whose end can be read in two ways, sent to the real service: none may run."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from kit.definitions import script, workflow
from kit.following import connect, read_all
from kit.service import Service

BODY = b'{"inputs": {"n": 42}}'
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
SMUGGLED = b"DELETE /workflows/framed HTTP/1.1\r\nHost: localhost\r\n\r\n"
TYPE = b"Content-Type: application/json\r\n"


def launch(fields: bytes, body: bytes) -> bytes:
    head = b"POST /workflows/framed HTTP/1.1\r\nHost: localhost\r\n"
    return head + TYPE + fields + b"\r\n" + body


@pytest.fixture
def framed(shared_service: Service) -> Callable[[], list[object]]:
    """Return the inputs of all launches of a workflow."""
    client = shared_service.client()
    inputs = {"n": {"type": "integer", "default": 1}}
    client.upload(workflow("framed", script("say", "echo $INPUT_N"), inputs=inputs))

    def launches() -> list[object]:
        found = client.get("/executions", workflow="framed", page_size=100)["executions"]
        return [client.execution(each["id"])["inputs"]["n"] for each in found]

    return launches


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (launch(b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS), 501),
        (launch(b"Transfer-Encoding: chunked, identity\r\n", CHUNKS), 400),
        (launch(b"Transfer-Encoding: xchunked\r\n", CHUNKS), 400),
        (launch(b"Transfer-Encoding: identity\r\n" + LENGTH, BODY), 400),
        (launch(b"Transfer-Encoding : chunked\r\n", CHUNKS), 400),
        (launch(b"Transfer-Encoding: chunked\r\n" + LENGTH, CHUNKS), 400),
        (launch(LENGTH + b"Content-Length: 0\r\n", BODY + SMUGGLED), 400),
        (launch(b"Content-Length: 0\r\n" + LENGTH, BODY + SMUGGLED), 400),
        (launch(b"Content-Length: +%d\r\n" % len(BODY), BODY), 400),
        (launch(b"X: a\r\n Content-Length: 0\r\n" + LENGTH, BODY), 400),
        (launch(b"X: a\rContent-Length: 0\r\n" + LENGTH, BODY), 400),
        (launch(b"X: a\0\r\n" + LENGTH, BODY), 400),
        (launch(b"Host: localhost\r\n" + LENGTH, BODY), 400),
        (launch(LENGTH, BODY).replace(b"Host: localhost\r\n", b""), 400),
        (launch(b"Transfer-Encoding: chunked\r\n", b"0x" + CHUNKS), 400),
        (launch(LENGTH, BODY).replace(b"\r\n", b"\n"), 400),
    ],
)  # fmt: skip
def test_a_faulty_launch_is_refused_and_nothing_behind_it_is_done(
    shared_service: Service, framed: Callable[[], list[object]], request_: bytes, status: int
) -> None:
    before = framed()
    connection = connect(shared_service.url)
    connection.sendall(request_ + SMUGGLED)
    head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert json.loads(body)["status"] == status
    assert framed() == before


def test_what_is_in_a_body_is_never_the_next_request(
    shared_service: Service, framed: Callable[[], list[object]]
) -> None:
    before = framed()
    last = b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    padded = json.dumps({"inputs": {"n": 7}, "key": SMUGGLED.decode()}).encode()
    offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    connection = connect(shared_service.url)
    connection.sendall(
        launch(LENGTH, BODY)
        + launch(b"Transfer-Encoding: chunked\r\n", CHUNKS)
        + launch(offer + LENGTH, BODY)
        + launch(b"Content-Length: %d\r\n" % len(padded), padded)
        + b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED)
        + SMUGGLED
        + last
    )
    answers = read_all(connection)
    assert answers.count(b"HTTP/1.1 201 Created") == 4
    assert answers.count(b"HTTP/1.1 ") == 6
    assert answers.rstrip().endswith(b'"version":"0.1.0"}')
    assert framed() == [7, 42, 42, 42, *before]

"""Malformed requests, thrown at the running service while others use it."""

from __future__ import annotations

import http.client
import io
import itertools
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kit.following import connect
from kit.malformed import Malformed
from kit.service import Service
from kit.stress import scaled

SEED = 20231209
OPERATIONS = [
    (method.upper(), path)
    for file in sorted((Path(__file__).parents[2] / "openapi").glob("*.json"))
    for path, item in json.loads(file.read_text(encoding="utf-8"))["paths"].items()
    for method in item
    if method != "parameters" and not path.endswith("/events")
]
"""All but the address that speaks until its client goes away."""
PROTOCOL = {501, 505}
"""What RFC 9112, 6.1 and RFC 9110, 15.6.6 have for what a server does not speak."""
ENVELOPES = [{"success", "error", "timestamp"}, {"error", "message"}]
"""Those of dialects whose errors are no problem documents."""


class _Socket(io.BytesIO):
    """Bytes that came, as ``http.client`` wants them."""

    def makefile(self, *_: object) -> _Socket:
        return self

    def close(self) -> None:
        """Stay open: more than one answer is read."""


def answers(raw: bytes) -> Iterator[tuple[http.client.HTTPResponse, bytes]]:
    """Read the answers that came over one connection."""
    stream = _Socket(raw)
    while stream.tell() < len(raw):
        response = http.client.HTTPResponse(stream)  # type: ignore[arg-type]
        response.begin()
        if response.status == 101:
            return
        yield response, response.read()


def assert_proper(sent: bytes, raw: bytes) -> None:
    """Check that whatever was answered is an answer, and that no fault of the service is told."""
    for response, body in answers(raw):
        status = response.status
        assert status < 500 or status in PROTOCOL, (sent[:500], raw[:1000])
        if status >= 400:
            told, kind = json.loads(body), response.headers["Content-Type"]
            if kind == "application/json":  # in an envelope
                assert told.keys() in ENVELOPES, (sent[:500], raw[:1000])
                continue
            assert kind == "application/problem+json", (sent[:500], raw[:1000])
            assert told["status"] == status, (sent[:500], raw[:1000])


def received(connection: socket.socket) -> bytes:
    """Read what comes until the service closes the connection; a reset ends it, too."""
    raw = b""
    with suppress(ConnectionResetError):
        while new := connection.recv(1 << 16):
            raw += new
    return raw


@pytest.fixture
def served(shared_service: Service) -> Iterator[list[int]]:
    """The statuses that others are answered meanwhile."""
    statuses: list[int] = []
    over = threading.Event()

    def use() -> None:
        paths = itertools.cycle(("/health", "/workflows", "/executions"))
        for path in itertools.takewhile(lambda _: not over.is_set(), paths):
            statuses.append(shared_service.client().send("GET", path).status_code)  # noqa: PERF401

    thread = threading.Thread(target=use)
    thread.start()
    yield statuses
    over.set()
    thread.join()
    assert {*statuses} == {200}


@pytest.mark.usefixtures("served", "no_faults")
def test_no_malformed_request_breaks_the_service(shared_service: Service) -> None:
    conductor, web = shared_service.child("conductor"), shared_service.child("web")
    for sent in itertools.islice(Malformed(SEED, OPERATIONS), scaled(10_000, 600)):
        with connect(shared_service.url) as connection:
            with suppress(OSError):  # it may be refused before its end
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            assert_proper(sent, received(connection))
    assert shared_service.children("conductor") == [conductor]
    assert shared_service.children("web") == [web]
    assert shared_service.client().get("/ready")["ready"]

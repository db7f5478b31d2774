"""What old and plain clients send and get, byte by byte, on one connection to the real service."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import pytest
from kit.client import Client
from kit.following import Relay, vanish
from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import WAITING, metric

SSE, NDJSON, TEXT, JSON = (
    "text/event-stream", "application/x-ndjson", "text/plain", "application/json",
)  # fmt: skip
DOCUMENTS = ("/openapi.json", "/api/openapi.json", "/api/v1/openapi.json")


@pytest.fixture
def relay(client: Client, tmp_path: Path) -> Iterator[Relay]:
    """An execution that runs."""
    relay = Relay(client, tmp_path)
    yield relay
    relay.end()


class Wire:
    """One connection."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        assert place.hostname
        assert place.port
        self.host = place.netloc
        self.connection = socket.create_connection((place.hostname, place.port), PATIENCE_SECONDS)
        self._answers: BinaryIO = self.connection.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self.connection.close()

    def send(self, line: str, *fields: str, last: bool = False) -> None:
        head = [f"{line} HTTP/1.1", f"Host: {self.host}", *fields, "", ""]
        self.connection.sendall("\r\n".join(head).encode())
        if last:
            self.connection.shutdown(socket.SHUT_WR)

    def status(self) -> tuple[int, dict[str, str]]:
        """Read the head of an answer, which must begin here."""
        first = self._answers.readline()
        assert first.startswith(b"HTTP/1.1 "), first
        fields = {}
        while line := self._answers.readline().strip().decode():
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        return int(first.split()[1]), fields

    def answer(self) -> tuple[int, bytes]:
        """Read an answer with a length."""
        status, fields = self.status()
        return status, self._answers.read(int(fields.get("content-length", "0")))

    def rest(self) -> bytes:
        """Read on to the end of the connection."""
        return self._answers.read()


def reads(client: Client, execution: str) -> list[str]:
    """Every address that can be read, of every dialect."""
    found = []
    for document in DOCUMENTS:
        for path, item in client.get(document)["paths"].items():
            if "get" in item:
                named = path.replace("{execution_id}", execution).replace("{workflow_id}", "none")
                found.append(re.sub(r"\{[^}]+\}", "x", named))
    return found


def test_nothing_follows_the_head_that_was_asked_for(client: Client, relay: Relay) -> None:
    """RFC 9110, 9.3.2; RFC 9112, 6.3: else the next answer would be lost."""
    paths = [*reads(client, relay.id), "/", "/docs", "/none", "/metrics"]
    assert {f"{relay.path}/logs", "/executions/events"} <= set(paths)
    with Wire(client.url) as wire:
        for path in paths:
            for accept in (SSE, NDJSON, TEXT, JSON):
                query = "?timeout=0" if path.endswith("/logs") else ""
                for encoding in ("identity", "gzip"):
                    fields = (f"Accept: {accept}", f"Accept-Encoding: {encoding}")
                    wire.send(f"HEAD {path}{query}", *fields)
                    status, head = wire.status()
                    assert status < 500 or status == 501, (path, status)
                    assert head.get("connection") != "close", path
        for query in ("?follow=true", "?follow=true&levels=15"):
            wire.send(f"HEAD {relay.path}/logs{query}", f"Accept: {TEXT}", "Accept-Encoding: gzip")
            assert wire.status()[0] == 200
        wire.send("GET /version")
        status, body = wire.answer()
    assert (status, json.loads(body)["name"]) == (200, "slipway")


@pytest.mark.parametrize(
    "target", ["http://{}/version", "HTTP://{}/version?", "https://{}/%76ersion"]
)
def test_the_whole_address_may_be_asked_for(client: Client, target: str) -> None:
    """RFC 9112, 3.2.2: a server must accept it."""
    with Wire(client.url) as wire:
        wire.send(f"GET {target.format(wire.host)}")
        status, body = wire.answer()
    assert (status, json.loads(body)["name"]) == (200, "slipway")


def test_the_address_of_another_server_is_none_of_here(client: Client) -> None:
    with Wire(client.url) as wire:
        wire.send("GET http://elsewhere.example/version")
        assert wire.answer()[0] == 421


@pytest.mark.parametrize("target", ["*", "http://{}", "/"])
def test_the_server_as_a_whole_can_be_asked_for(client: Client, target: str) -> None:
    with Wire(client.url) as wire:
        wire.send(f"OPTIONS {target.format(wire.host)}")
        status, head = wire.status()
        assert status in {200, 204}
        assert "GET" in head["allow"]


class TestHalfClosed:
    @pytest.mark.parametrize(
        "path", ["/version", "/workflows", "/executions", "/none", "/openapi.json", "/metrics"]
    )
    def test_who_says_no_more_is_answered(self, client: Client, path: str) -> None:
        with Wire(client.url) as wire:
            wire.send(f"GET {path}", last=True)
            status, body = wire.answer()
            assert status == (404 if path == "/none" else 200)
            assert body
            assert wire.rest() == b""

    def test_a_long_poll_is_answered_with_what_there_is(self, client: Client, relay: Relay) -> None:
        with Wire(client.url) as wire:
            wire.send(f"GET {relay.path}/logs?from=100&timeout=1m", last=True)
            status, body = wire.answer()
        assert (status, json.loads(body)["logs"]) == (200, [])

    @pytest.mark.parametrize("query", ["?wait=1m", "?wait=1m&until=end"])
    def test_who_waits_for_a_change_is_answered_with_what_there_is(
        self, client: Client, relay: Relay, query: str
    ) -> None:
        with Wire(client.url) as wire:
            wire.send(f"GET {relay.path}{query}", last=True)
            status, body = wire.answer()
            assert (status, json.loads(body)["state"]) == (200, "RUNNING")
            assert wire.rest() == b""

    @pytest.mark.parametrize("rest", ["?wait=1m", "/logs?from=100&timeout=1m"])
    def test_who_waits_for_a_head_alone_is_answered(
        self, client: Client, relay: Relay, rest: str
    ) -> None:
        with Wire(client.url) as wire:
            wire.send(f"HEAD {relay.path}{rest}", last=True)
            status, head = wire.status()
            assert status == 200
            assert int(head["content-length"]) > 0
            assert wire.rest() == b""

    def test_a_tag_counts_when_the_wait_is_over(self, client: Client, relay: Relay) -> None:
        with Wire(client.url) as wire:
            wire.send(f"HEAD {relay.path}")
            tag = wire.status()[1]["etag"]
            wire.send(f"GET {relay.path}?wait=1m", f"If-None-Match: {tag}", last=True)
            assert wire.status()[0] == 304

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("rest", ["?wait=5m", "/logs?from=100&timeout=5m"])
    def test_who_is_gone_holds_no_place(
        self, client: Client, relay: Relay, method: str, rest: str
    ) -> None:
        with Wire(client.url) as wire:
            wire.send(f"{method} {relay.path}{rest}")
            await_that(lambda: metric(client, WAITING) == 1, "it waits")
            vanish(wire.connection)
        await_that(lambda: metric(client, WAITING) == 0, "it has ended")

    def test_a_stream_tells_what_there_is(self, client: Client, relay: Relay) -> None:
        relay.write(3, "told")
        with Wire(client.url) as wire:
            wire.send(f"GET {relay.path}/logs?levels=15", f"Accept: {SSE}", last=True)
            assert wire.status()[0] == 200
            assert b"RUNNING" in wire.rest()

    def test_what_would_change_something_is_answered(self, client: Client) -> None:
        with Wire(client.url) as wire:
            wire.send("POST /workflows/none", "Content-Length: 0", last=True)
            assert wire.answer()[0] == 404

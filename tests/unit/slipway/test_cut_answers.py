"""Answers that are cut off, at each of their bytes: what was cut is asked for again."""

from __future__ import annotations

import socket
import struct

import pytest
from client_kit import END, ID, STATUS, STREAM, client_of, entry, execution, lines, log, page
from kit.raw_server import RawServer, answer, chunk, problem

from slipway import Execution


@pytest.fixture(params=["length", "chunked", "close"])
def framing(request):
    return request.param


class Cutter:
    """A server that cuts each first answer off at a byte, and gives the whole one after it."""

    def __init__(self, first: bytes, second: bytes) -> None:
        self.at = 0
        self.server = RawServer(lambda _, number: second if number % 2 else first[: self.at])

    def everywhere(self, first: bytes):
        """Yield after the place is set: each byte before the last one of the body."""
        for self.at in range(first.rindex(b"}") + 1):
            del self.server.asked[:]
            yield self.at


def test_a_launch_is_repeated_under_its_key_wherever_it_was_cut(framing):
    whole = answer(201, execution(), framing=framing, Location=f"/executions/{ID}")
    cutter = Cutter(whole, whole)
    with cutter.server as server:
        workflow = client_of(server.url).workflow("w")
        for at in cutter.everywhere(whole):
            assert workflow.run(n=3).id == ID, at
            first, second = server.asked
            assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
            assert first.json() == second.json() == {"inputs": {"n": 3}}


def test_a_page_is_asked_for_again_wherever_it_was_cut(framing):
    whole = answer(200, page(entry(0), entry(1), complete=True), framing=framing)
    cutter = Cutter(whole, whole)
    with cutter.server as server:
        logs = Execution(client_of(server.url), ID).logs
        for at in cutter.everywhere(whole):
            assert [each.index for each in logs()] == [0, 1], at
            assert len(server.asked) == 2


def test_half_a_refusal_is_none(framing):
    refused = answer(404, {"status": 404, "detail": "None."}, "application/problem+json", framing)
    cutter = Cutter(refused, answer(200, execution("SUCCESS"), framing=framing))
    with cutter.server as server:
        client = client_of(server.url)
        for at in cutter.everywhere(refused):
            assert client.execution(ID).status == "SUCCESS", at


def test_a_cancellation_that_was_cut_is_done_although_it_has_ended_by_then():
    whole = answer(202, b"", kind="")
    ended = problem(409, "It has ended.")
    for at in range(len(whole)):
        with RawServer(lambda _, number, at=at: ended if number else whole[:at]) as server:
            Execution(client_of(server.url), ID).cancel()


def test_a_connection_that_is_reset_is_a_cut():
    whole = answer(201, execution())

    def reset(server):
        # A close with unread time to linger sends RST.
        for each in list(server.connections):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def talk(_, number):
        return whole if number else [whole[:200], lambda: reset(server)]

    with RawServer(talk) as server:
        assert client_of(server.url).workflow("w").run().id == ID


@pytest.mark.parametrize("framed", [True, False], ids=["chunked", "until close"])
def test_each_line_of_a_stream_comes_once_wherever_it_was_cut(framed):
    entries = [log(0), log(1, "a\rb\x85\u2028c"), log(2)]
    head = answer(200, b"", STREAM, "close" if not framed else "")
    if framed:
        head = head.replace(b"Connection: close\r\n", b"Transfer-Encoding: chunked\r\n")

    def stream(after):
        parts = [lines(STATUS), b"\n", *(lines(each) for each in entries if each["index"] > after),
                 lines(END)]  # fmt: skip
        return head + b"".join(map(chunk, parts) if framed else parts)

    whole = stream(-1)
    cut = {"at": 0}

    def talk(asked, number):
        said = stream(int(asked.query["after"]))
        return said if number else said[: cut["at"]]

    for cut["at"] in range(len(whole)):
        with RawServer(talk) as server:
            follow = Execution(client_of(server.url), ID).follow()
            assert [each.content for each in follow] == ["line 0", "a\rb\x85\u2028c", "line 2"], cut
            assert follow.ended
            assert follow.after == 2

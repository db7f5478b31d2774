"""The target that loads are held against must itself be right."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.load_target import Answer, LoadTarget, LogNormal, Seen, most_at_once
from kit.certificates import Authority
from kit.patience import PATIENCE_SECONDS, await_that


@contextmanager
def connected(target: LoadTarget) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=PATIENCE_SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def get(target: LoadTarget, path: str) -> tuple[int, bytes]:
    with connected(target) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_it_answers_as_httpbin_does_and_remembers_what_came(load_target: LoadTarget) -> None:
    before = time.monotonic()
    with connected(load_target) as connection:
        connection.request("GET", "/get?a=1&b=%20x", headers={"X-Who": "me"})
        told = json.load(connection.getresponse())
        connection.request("POST", "/post", body='{"n": 1}')
        posted = json.load(connection.getresponse())
        connection.request("POST", "/anything/there", body=iter([b"in ", b"chunks"]))
        chunked = json.load(connection.getresponse())
    after = time.monotonic()
    assert told["args"] == {"a": "1", "b": " x"}
    assert told["headers"]["X-Who"] == "me"
    assert told["url"] == f"http://127.0.0.1:{load_target.port}/get?a=1&b=%20x"
    assert (posted["json"], posted["method"], chunked["data"]) == ({"n": 1}, "POST", "in chunks")
    first, second, third = load_target.requests()
    assert (first.method, first.path, first.query) == ("GET", "/get", [("a", "1"), ("b", " x")])
    assert first.headers["x-who"] == "me"
    assert (second.method, second.body, third.body) == ("POST", b'{"n": 1}', b"in chunks")
    assert first.connection == second.connection
    assert before <= first.begin <= first.end <= second.begin <= third.end <= after  # type: ignore[operator]
    assert load_target.counts() == {"/get": 1, "/post": 1, "/anything/there": 1}
    assert load_target.requests("/post")[0].begin == second.begin
    load_target.forget()
    assert load_target.requests() == []


def test_it_answers_what_it_is_told(load_target: LoadTarget) -> None:
    failing = Answer(503, "busy", (("Retry-After", "1"),))
    load_target.answer("/rare", failing, failing, Answer(body="done", chunked=True))
    assert [get(load_target, "/rare") for _ in range(4)] == [
        (503, b"busy"), (503, b"busy"), (200, b"done"), (200, b"done"),
    ]  # fmt: skip
    load_target.answer("/rare")
    assert get(load_target, "/rare") == (200, b"{}")
    assert [get(load_target, path)[0] for path in ("/status/418", "/redirect/2")] == [418, 302]


def test_it_counts_what_is_open_and_what_was_cut(load_target: LoadTarget) -> None:
    load_target.answer("/slow", Answer(delay=PATIENCE_SECONDS))
    opened = [socket.create_connection(("127.0.0.1", load_target.port)) for _ in range(3)]
    for each in opened:
        each.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await_that(lambda: load_target.now().open == 3)
    assert [each.end for each in load_target.requests()] == [None, None, None]
    for each in opened:
        each.close()
    await_that(lambda: load_target.now().open == 0)
    now = load_target.now()
    assert (now.most, now.cut, now.connections) == (3, 3, 0)
    assert all(each.cut and each.status == 0 for each in load_target.requests())
    assert most_at_once(load_target.requests()) == 3


def test_it_takes_its_time(load_target: LoadTarget) -> None:
    load_target.answer("/fixed", Answer(delay=0.05))
    load_target.answer("/spread", Answer(delay=LogNormal(0.01, 0.4)))
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda path: get(load_target, path), ["/fixed", *["/spread"] * 100]))
    assert load_target.requests("/fixed")[0].seconds >= 0.049
    spread = sorted(each.seconds for each in load_target.requests("/spread"))
    assert spread[0] < spread[50] < spread[-1]
    assert spread[50] > 0.005


def test_it_closes_connections_as_told(load_target: LoadTarget) -> None:
    load_target.answer("/last", Answer(then="close"))
    load_target.answer("/unsaid", Answer(then="drop"))
    load_target.answer("/mute", Answer(mute=True))
    with connected(load_target) as connection:
        connection.request("GET", "/last")
        last = connection.getresponse()
        assert (last.getheader("Connection"), last.read()) == ("close", b"{}")
        connection.request("GET", "/unsaid")
        unsaid = connection.getresponse()
        assert (unsaid.getheader("Connection"), unsaid.read()) == (None, b"{}")
        assert connection.sock.recv(1) == b""
    with pytest.raises(http.client.RemoteDisconnected):
        get(load_target, "/mute")
    with connected(load_target) as connection:
        connection.request("GET", "/get")
        connection.getresponse().read()
        load_target.drop_connections()
        await_that(lambda: load_target.now().connections == 0)
        assert load_target.now().accepted == 4


def test_it_refuses_and_listens_again_at_its_port(load_target: LoadTarget) -> None:
    load_target.refuse()
    with pytest.raises(ConnectionRefusedError):
        get(load_target, "/get")
    load_target.accept()
    assert get(load_target, "/nothing") == (200, b"{}")


def test_a_frozen_one_sees_requests_once_it_goes_on(load_target: LoadTarget) -> None:
    with ThreadPoolExecutor(1) as pool:
        with load_target.frozen():
            answer = pool.submit(get, load_target, "/nothing")
            thawed = time.monotonic()
        assert answer.result() == (200, b"{}")
    assert load_target.requests()[0].begin >= thawed


def test_it_speaks_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    with LoadTarget(tls=(pair.cert, pair.key)) as target:
        context: ssl.SSLContext = authority.client()
        connection = http.client.HTTPSConnection("127.0.0.1", target.port, context=context)
        connection.request("GET", "/get")
        assert connection.getresponse().status == 200
        connection.close()


def test_the_most_at_once_is_counted_from_times() -> None:
    def seen(begin: float, end: float | None) -> Seen:
        return Seen(begin, end, False, 200, 1, b"", b"")

    assert most_at_once([]) == 0
    assert most_at_once([seen(0, 1), seen(1, 2)]) == 1  # one after the other
    assert most_at_once([seen(0, 3), seen(1, 2), seen(2.5, None), seen(2.6, None)]) == 3

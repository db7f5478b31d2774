"""The HTTP server before the application: over real sockets, with a small application behind."""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import gevent
import pytest
from kit.certificates import Authority
from kit.patience import PATIENCE_SECONDS, await_that
from toy_dialect import DIALECT as TOY

from app.cli import _connection
from app.cli._connection import Connection, Limits
from app.cli._http1 import HeadReader
from app.cli._listener import listen
from app.cli._server import Server
from app.cli._tls_socket import tls_context, tls_fields
from app.errors import StoreUnavailable
from app.resources._dialects import Dialects
from app.resources._every_answer import EveryAnswer
from app.resources.root import DIALECT as ROOT
from app.settings import ApiSettings
from app.settings.edge import CorsSettings, TlsSettings

GET = b"GET /seen HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /seen HTTP/1.1\r\nHost: localhost\r\n"
PORTAL = "https://portal.example"
HELD = b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Running:
    """A server in a thread with an event loop of its own.

    Attributes:
        seen: Method, path and body of each request that reached the application.
        is_eager: Something else in the event loop wants its turn all the time.
        turns: How often it had it.
        goes_on: What is slow is answered.
        faults: What the server did not expect.
    """

    def __init__(self, limits: Limits, authority: Authority | None = None) -> None:
        self._tls: TlsSettings | None = None
        self.client: ssl.SSLContext | None = None
        if authority is not None:
            pair = authority.issue("localhost")
            self._tls = TlsSettings(enabled=True, cert=pair.cert, key=pair.key, hsts=60.0)
            self.client = authority.client()
        self.seen: list[tuple[str, str, bytes]] = []
        self.is_eager = False
        self.breaks_late = False
        self.goes_on = False
        self.turns = 0
        self.faults: list[object] = []
        self._listener = listen("127.0.0.1", 0)
        self._listener.setblocking(False)  # as it is in a patched process
        self.address = self._listener.getsockname()
        self._beside = listen("127.0.0.1", 0)
        self._beside.setblocking(False)
        self.address_beside = self._beside.getsockname()
        self._limits = limits
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._connections = ExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.close()
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        self.server.hangups._epoll.close()
        self._hub.destroy(destroy_loop=True)
        assert self.faults == []

    def _run(self) -> None:
        self._hub = gevent.get_hub()
        self._hub.handle_error = lambda *fault: self.faults.append(fault)
        always = EveryAnswer(ApiSettings(cors=CorsSettings([PORTAL])))
        dialects = Dialects([ROOT, TOY], always)
        self.server = Server(
            self._listener, self._application, self._limits, dialects,
            tls=self._tls and tls_context(self._tls), tls_fields=tls_fields(self._tls),
            beside=[self._beside],
        )  # fmt: skip
        self.server.start()
        self._ready.set()
        while not self._stop.is_set():
            gevent.sleep(0 if self.is_eager else 0.005)
            self.turns += 1
        self.server.shut_down(lambda: None, 0.1)

    def _application(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        path = environ["PATH_INFO"]
        self.seen.append((environ["REQUEST_METHOD"], path, body))
        while path == "/slow" and not (self.goes_on or self._stop.is_set()):
            gevent.sleep(0.005)
        while path == "/held" and not self._stop.is_set():
            gevent.sleep(0.005)
        if path.endswith("/broken"):
            start_response("200 OK", [])
            return self._break(StoreUnavailable("It is away.") if body else ValueError("secret"))
        if path == "/stream":
            start_response("200 OK", [])
            return iter([b"one ", b"two"])
        answer = b"x" * 20_000_000 if path == "/large" else body
        start_response("200 OK", [("Content-Length", str(len(answer)))])
        return [answer]

    def _break(self, error: Exception) -> Iterator[bytes]:
        if self.breaks_late:
            yield b"something"
        raise error

    @property
    def speaks_tls(self) -> bool:
        return self._tls is not None

    def connect(self, data: bytes = b"", *, beside: bool = False) -> socket.socket:
        """Connect, over TLS where that is spoken, and send something.

        Args:
            data: What.
            beside: To the other socket.
        """
        made = self.connect_below(beside=beside)
        if self.client is not None:
            made = self.client.wrap_socket(made, server_hostname="localhost")
            self._connections.enter_context(made)
        made.sendall(data)
        return made

    def connect_below(self, *, beside: bool = False) -> socket.socket:
        """Connect without TLS."""
        address = self.address_beside if beside else self.address
        made = socket.create_connection(address, PATIENCE_SECONDS)
        self._connections.enter_context(made)
        return made

    def ask(self, data: bytes) -> bytes:
        """Send something and give all that comes until the server closes."""
        return read_all(self.connect(data))


def read_all(connection: socket.socket) -> bytes:
    parts = []
    with suppress(ConnectionResetError, ssl.SSLError):  # the latter where it is cut off
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one answer with a length, and not a byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, head
        head += byte
    [length] = [
        int(x.split(b":")[1]) for x in head.split(b"\r\n") if b"content-length" in x.lower()
    ]
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return int(head.split()[1]), body


def is_closed(connection: socket.socket) -> bool:
    return read_all(connection) == b""


def drip(connection: socket.socket, data: bytes) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        select.select([], [], [], 0.02)


@pytest.fixture(params=["clear", "tls"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Run servers; each test of one is made in the clear and over TLS."""
    authority = Authority(tmp_path) if request.param == "tls" else None
    with ExitStack() as stack:
        yield lambda **limits: stack.enter_context(Running(Limits(**limits), authority))


@pytest.fixture
def running(run: Callable[..., Running]) -> Running:
    return run()


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"Content-Length: 3\r\n\r\nabc", b"abc"),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"\r\n", b""),
        (b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    ],
)
def test_requests_follow_each_other_on_one_connection(
    running: Running, content: bytes, body: bytes
) -> None:
    connection = running.connect((POST + content + GET) * 3)
    for _ in range(3):
        assert read_answer(connection) == (200, body)
        assert read_answer(connection) == (200, b"")
    assert running.seen == [("POST", "/seen", body), ("GET", "/seen", b"")] * 3


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "not_implemented"),
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, "malformed_request"),
        (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, "malformed_request"),
        (POST + b"Content-Length: +3\r\n\r\nabc", 400, "malformed_request"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n", 400, "malformed_request"),
        (POST + b"Content-Length: 99999999\r\n\r\n", 413, "body_too_large"),
        (POST + b"X: " + b"a" * 20_000, 431, "request_header_fields_too_large"),
        (POST + b"Expect: magic\r\n\r\n", 417, "expectation_failed"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    ],
)
def test_a_refused_request_ends_the_connection_and_nothing_behind_it_is_read(
    running: Running, request_: bytes, status: int, code: str
) -> None:
    answer = running.ask(request_ + GET)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close" in head
    assert b"\r\nContent-Type: application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], problem["code"], problem["errors"][0]["id"]) == (status, code, code)
    assert running.seen == []


@pytest.mark.parametrize(
    "target",
    [b"/toy", b"/toy/x?y=1", b"/%74oy/x", b"http://localhost/toy/x", b"/toy/" + b"x" * 9000],
)
@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        (b"Host: a\r\nContent-Length: 99999999\r\n\r\n", 413, "BODY_TOO_LARGE"),
        (b"Host: a\r\nContent-Length: x\r\n\r\n", 400, "MALFORMED_REQUEST"),
        (b"Host: a\r\nX: " + b"a" * 20_000, 431, "REQUEST_HEADER_FIELDS_TOO_LARGE"),
        (b"Host: a\r\nExpect: magic\r\n\r\n", 417, "EXPECTATION_FAILED"),
        (b"Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "NOT_IMPLEMENTED"),
        (b"\r\n", 400, "MALFORMED_REQUEST"),
    ],
)
def test_a_request_is_refused_in_the_form_of_the_dialect_that_it_is_for(
    running: Running, target: bytes, fields: bytes, status: int, word: str
) -> None:
    if len(target) > 8192:
        status, word = 414, "REQUEST-URI_TOO_LONG"
    head, _, body = running.ask(b"POST " + target + b" HTTP/1.1\r\n" + fields).partition(
        b"\r\n\r\n"
    )
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nContent-Type: application/vnd.toy+json" in head
    assert json.loads(body)["word"] == word


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n%b\r\n",
        b"BREW / HTTP/1.1\r\n%b\r\n",
        b"GET / HTTP/9.9\r\n%b\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n%bContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n%bX: " + b"a" * 20_000,
        b"GET / HTTP/1.1\r\nHost: a\r\n%b" + b"X: y\r\n" * 101 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\n%bContent-Length: 99999999\r\n\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n%b\r\n",
        b"GET /broken HTTP/1.1\r\nHost: a\r\n%b\r\n",
    ],
)
def test_a_page_of_a_listed_origin_can_read_what_the_server_itself_answers(
    running: Running, request_: bytes
) -> None:
    for origin, readable in ((PORTAL, True), ("https://evil.example", False), ("null", False)):
        field = f"Origin: {origin}\r\n".encode()
        head = running.ask(request_ % field).partition(b"\r\n\r\n")[0]
        assert (f"\r\nAccess-Control-Allow-Origin: {PORTAL}".encode() in head) is readable
        assert b"\r\nVary: Origin" in head
        assert b"\r\nX-Content-Type-Options: nosniff" in head
        assert b"\r\nX-Frame-Options: DENY" in head
    running.faults.clear()


@pytest.mark.parametrize(("path", "form"), [(b"/toy/broken", b"vnd.toy+json"),
                                            (b"/broken", b"problem+json")])  # fmt: skip
@pytest.mark.parametrize(("content", "status"), [(b"", 500), (b"store", 503)])
def test_an_answer_that_fails_before_its_first_byte_is_an_error_in_the_right_form(
    running: Running, path: bytes, form: bytes, content: bytes, status: int
) -> None:
    head, _, body = running.ask(
        b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
        % (path, len(content), content)
    ).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nContent-Type: application/" + form in head
    assert b"\r\nConnection: close" in head
    assert (b"\r\nRetry-After: " in head) is (status == 503)
    assert b"secret" not in body
    assert json.loads(body)
    assert len(running.faults) == (status == 500), "it is told with its traceback"
    running.faults.clear()


def test_an_answer_that_fails_later_is_cut_off(running: Running) -> None:
    running.breaks_late = True
    answer = running.ask(b"GET /toy/broken HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.endswith(b"\r\n9\r\nsomething\r\n"), "without the end of the last chunk"
    running.faults.clear()


def test_a_client_that_waits_is_told_to_go_on(running: Running) -> None:
    connection = running.connect(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(b"abc")
    assert read_answer(connection) == (200, b"abc")
    too_large = running.ask(POST + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
    assert too_large.startswith(b"HTTP/1.1 413 ")


def test_a_refused_body_is_not_read_to_its_end(running: Running) -> None:
    connection = running.connect(POST + b"Content-Length: 1000000000\r\n\r\n")
    sent = 0
    with suppress(OSError):
        for _ in range(4000):
            sent += connection.send(b"x" * 25_000)
    assert sent < 50_000_000
    small = running.connect(POST + b"Content-Length: 2000000\r\n\r\n" + b"x" * 2_000_000)
    assert read_all(small).startswith(b"HTTP/1.1 413 "), "it can be read by who sends it all"


@pytest.mark.parametrize(
    "begin",
    [b"G", b"\r\n", GET[:-2], POST + b"X: " + b"a" * 5000],
)
def test_a_head_that_does_not_come_to_its_end_is_given_up(
    run: Callable[..., Running], begin: bytes
) -> None:
    running = run(head_seconds=0.5)  # enough for a handshake of TLS on a slow machine
    assert running.ask(begin).startswith(b"HTTP/1.1 408 ")
    connection = running.connect(GET)
    assert read_answer(connection) == (200, b"")
    connection.sendall(begin)
    assert read_all(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "begin",
    [
        POST + b"Content-Length: 9\r\n\r\n", POST + b"Content-Length: 9\r\n\r\nabc",
        POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 90_000,
    ],
)  # fmt: skip
def test_a_body_that_stops_coming_is_given_up(run: Callable[..., Running], begin: bytes) -> None:
    running = run(body_seconds=0.05)
    assert running.ask(begin).startswith(b"HTTP/1.1 408 ")
    assert running.seen == []


def test_a_body_that_comes_too_slowly_is_given_up_although_it_comes(
    run: Callable[..., Running],
) -> None:
    running = run(body_seconds=0.3, body_rate=1_000_000)
    connection = running.connect(POST + b"Content-Length: 100000\r\n\r\n")
    answers = select.poll()  # select(2) takes no descriptor beyond 1,023
    answers.register(connection, select.POLLIN)
    while not answers.poll(5):
        connection.sendall(b"x")
    assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
    assert running.seen == []


def test_an_idle_connection_is_closed_without_a_word(run: Callable[..., Running]) -> None:
    running = run(idle_seconds=0.05)
    assert running.ask(b"") == b""
    connection = running.connect(GET)
    assert read_answer(connection) == (200, b"")
    assert is_closed(connection)


def test_who_does_not_read_the_answer_is_cut_off(run: Callable[..., Running]) -> None:
    running = run(write_seconds=0.1)
    connection = running.connect(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await_that(lambda: running.seen)
    await_that(lambda: running.server.active == 0)
    assert len(read_all(connection)) < 20_000_000


def test_an_idle_connection_keeps_no_body(running: Running) -> None:
    connection = running.connect(POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000)
    assert read_answer(connection)[0] == 200
    await_that(lambda: running.server.idle)
    [idle] = running.server.idle
    assert (idle.environ, idle.wsgi_input, running.server.bodies_bytes) == (None, None, 0)


def test_who_does_not_go_after_he_was_refused_is_left_alone(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_connection, "_LINGER_SECONDS", 0.05)
    stubborn = running.connect(b"rubbish\r\n\r\n")
    assert read_all(stubborn).startswith(b"HTTP/1.1 400 ")
    await_that(lambda: running.server.open == 0)
    vanished = running.connect(b"rubbish\r\n\r\n")
    vanished.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    vanished.close()
    assert read_answer(running.connect(GET)) == (200, b"")


def test_a_body_that_is_cut_off_reaches_nobody(running: Running) -> None:
    connection = running.connect(POST + b"Content-Length: 9\r\n\r\nabc")
    socket.socket.shutdown(connection, socket.SHUT_WR)  # below TLS, where that is spoken
    assert is_closed(connection)
    assert running.seen == []


@pytest.mark.parametrize(
    ("state", "rest"),
    [(b"", GET), (GET[:9], GET[9:]), (POST + b"Content-Length: 9\r\n\r\n", b"x" * 9)],
)
def test_a_new_connection_takes_the_place_of_the_one_that_waits_longest(
    run: Callable[..., Running], state: bytes, rest: bytes
) -> None:
    running = run(connections=3)
    oldest, *others = [running.connect(GET) for _ in range(3)]
    for connection in (oldest, *others):
        assert read_answer(connection) == (200, b"")
    waiting = running.server.reading if b"POST" in state else running.server.idle
    for number, connection in enumerate((oldest, *others), start=1):
        connection.sendall(state)
        await_that(lambda number=number: len(waiting) == (number if b"POST" in state else 3))
    new = running.connect(GET)
    assert read_answer(new) == (200, b"")
    assert is_closed(oldest)
    others[-1].sendall(rest)
    assert read_answer(others[-1])[0] == 200


def test_connections_to_both_sockets_are_bounded_together(run: Callable[..., Running]) -> None:
    running = run(connections=2)
    oldest = running.connect(GET, beside=True)
    assert read_answer(oldest) == (200, b"")
    for beside in (False, True):
        assert read_answer(running.connect(GET, beside=beside)) == (200, b"")
    assert is_closed(oldest)
    assert running.server.open <= 2


def test_a_request_of_a_connection_that_made_room_is_not_begun(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the request had come just before.
    monkeypatch.setattr(Connection, "end", lambda self: setattr(self, "_ended", True))
    running = run(connections=1)
    oldest = running.connect()
    await_that(lambda: running.server.idle)
    new = running.connect(GET)
    assert read_answer(new) == (200, b"")
    oldest.sendall(POST + b"Content-Length: 3\r\n\r\nabc")
    assert is_closed(oldest)
    assert running.seen == [("GET", "/seen", b"")]


def test_held_requests_are_left_alone_and_a_new_one_is_turned_away(
    run: Callable[..., Running],
) -> None:
    running = run(connections=2)
    held = [running.connect(HELD) for _ in range(2)]
    await_that(lambda: len(running.seen) == 2)
    turned_away = read_all(running.connect_below())
    if running.speaks_tls:
        assert turned_away == b"", "it could not be read"
    else:
        assert turned_away.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nX-Content-Type-Options: nosniff\r\n" in turned_away
        assert turned_away.endswith(b"\r\n\r\n")
    assert not running.server.idle
    held.pop().close()
    await_that(lambda: running.server.active == 1)
    assert read_answer(running.connect(GET)) == (200, b"")


def test_without_descriptors_it_waits_for_one(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = running.connect(GET)
    assert read_answer(idle) == (200, b"")
    attempts = []
    accept = type(running.server).__mro__[2].do_read

    def exhausted(server: Server) -> Any:
        attempts.append(1)
        if len(attempts) <= 2:
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(server)

    monkeypatch.setattr(type(running.server).__mro__[2], "do_read", exhausted)
    assert read_answer(running.connect(GET)) == (200, b"")
    assert len(attempts) <= 5, "it does not ask again and again"
    assert is_closed(idle), "an idle connection makes room"


def test_large_bodies_have_a_bound_together_and_small_ones_none(
    run: Callable[..., Running],
) -> None:
    running = run(bodies_bytes=140_000)
    half = POST + b"Content-Length: 200000\r\n\r\n" + b"x" * 150_000
    first = running.connect(half)
    await_that(lambda: running.server.bodies_bytes > 80_000)
    answer = running.ask(half)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: " in answer
    small = running.connect(POST + b"Content-Length: 60000\r\n\r\n" + b"x" * 60_000)
    assert read_answer(small)[0] == 200
    first.sendall(b"x" * 50_000)
    assert read_answer(first)[0] == 200
    await_that(lambda: running.server.bodies_bytes == 0)


def test_a_body_in_the_smallest_chunks_lets_others_have_their_turn(running: Running) -> None:
    chunks = b"1\r\nx\r\n" * 300_000 + b"0\r\n\r\n"
    sender = running.connect(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    await_that(lambda: running.server.reading)
    running.is_eager, before = True, running.turns
    sender.sendall(chunks)
    await_that(lambda: running.seen)
    assert running.turns - before >= len(chunks) // 10_000
    assert running.seen == [("POST", "/seen", b"x" * 300_000)]


def test_many_tiny_pieces_are_taken_together(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[int] = []
    feed = HeadReader.feed

    def count(reader: HeadReader, data: bytes) -> bytes | None:
        received.append(len(data))
        return feed(reader, data)

    monkeypatch.setattr(HeadReader, "feed", count)
    connection = running.connect()
    for byte in GET[:-4] + b"\r\nX: " + b"x" * 5000 + b"\r\n\r\n":
        connection.sendall(bytes([byte]))
    assert read_answer(connection) == (200, b"")
    assert len(received) < 2500


def test_the_content_of_a_get_is_read_and_not_kept(running: Running) -> None:
    connection = running.connect(
        b"GET /seen HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc" + GET
    )
    assert [read_answer(connection) for _ in range(2)] == [(200, b"")] * 2
    assert running.seen == [("GET", "/seen", b"")] * 2


def test_an_answer_to_head_ends_with_its_head(running: Running) -> None:
    connection = running.connect(b"HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET)
    answer = b""
    while answer.count(b"\r\n\r\n") < 2:
        answer += connection.recv(1 << 16)
    assert answer.split(b"\r\n\r\n")[1].startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 0")


def test_a_stream_is_sent_in_chunks_and_to_http_1_0_until_the_end(running: Running) -> None:
    stream = b"GET /stream HTTP/1.%d\r\nHost: localhost\r\nConnection: %b\r\n\r\n"
    chunked = running.ask(stream % (1, b"close"))
    assert chunked.endswith(b"\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n")
    whole = running.ask(stream % (0, b"keep-alive"))
    assert whole.endswith(b"\r\n\r\none two")
    assert whole.count(b"Connection: close") == 1


class TestHalfClosed:
    """Who says no more may wait for an answer all the same, or be gone."""

    @staticmethod
    def ask(running: Running, request: bytes) -> socket.socket:
        connection = running.connect(request)
        socket.socket.shutdown(connection, socket.SHUT_WR)  # that of TLS would not decrypt any more
        return connection

    @pytest.mark.parametrize("method", [b"GET", b"POST"])
    def test_what_takes_its_time_is_answered(self, running: Running, method: bytes) -> None:
        slow = method + b" /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection = self.ask(running, slow)
        await_that(lambda: running.seen, "it is heard")
        turns = running.turns
        await_that(lambda: running.turns > turns + 2, "its end could have been noticed")
        running.goes_on = True
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK")

    @pytest.mark.parametrize("path", [b"/seen", b"/stream", b"/large"])
    def test_what_is_answered_at_once_comes_whole(self, running: Running, path: bytes) -> None:
        last = b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        whole = running.ask(last % path)
        request = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path
        answer = read_all(self.ask(running, request))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert answer.partition(b"\r\n\r\n")[2] == whole.partition(b"\r\n\r\n")[2]

    def test_each_of_several_requests_is_answered(self, running: Running) -> None:
        connection = self.ask(running, GET * 3)
        assert [read_answer(connection) for _ in range(3)] == [(200, b"")] * 3
        assert is_closed(connection)

    def test_what_takes_too_long_is_given_up(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_connection, "_LAST_CALL_SECONDS", 0.05)
        connection = self.ask(running, b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert is_closed(connection)
        assert running.server.active == 0

    def test_who_is_gone_for_good_is_noticed_at_once(self, running: Running) -> None:
        connection = running.connect(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await_that(lambda: running.seen, "it is heard")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        await_that(lambda: running.server.active == 0, "it is noticed")


class TestTls:
    @pytest.fixture
    def running(self, tmp_path: Path) -> Iterator[Running]:
        with Running(Limits(head_seconds=0.3), Authority(tmp_path)) as made:
            yield made

    @pytest.mark.parametrize(
        "plain", [GET, POST, b"PATCH / HTTP/1.1\r\n", b"OPTIONS * HTTP/1.1\r\n\r\n", b"x", b"\x00"]
    )
    def test_who_speaks_in_the_clear_is_told_so(self, running: Running, plain: bytes) -> None:
        connection = running.connect_below()
        connection.sendall(plain)
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"Strict-Transport-Security" not in head, "that counts over TLS alone"
        assert "https://" in json.loads(body)["detail"]
        assert running.seen == []

    @pytest.mark.parametrize("begin", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01", b"\x16" * 5])
    def test_a_handshake_that_does_not_come_to_its_end_is_given_up(
        self, running: Running, begin: bytes
    ) -> None:
        connections = [running.connect_below() for _ in range(5)]
        for connection in connections:
            connection.sendall(begin)
        assert read_answer(running.connect(GET)) == (200, b""), "others are not held up"
        for connection in connections:
            read_all(connection)  # an alert at most
        await_that(lambda: running.server.open <= 1)

    def test_one_that_comes_byte_by_byte_is_given_up_as_a_whole(self, running: Running) -> None:
        connection = running.connect_below()
        hello = b"\x16\x03\x01\x02\x00" + b"\x01" * 512
        with pytest.raises(OSError):  # noqa: PT011  (a reset or a broken pipe)
            drip(connection, hello)

    def test_a_record_that_comes_byte_by_byte_does_not_keep_a_connection(
        self, running: Running
    ) -> None:
        connection = running.connect(b"GET / HTTP/1.1\r\n")
        below = socket.socket(fileno=os.dup(connection.fileno()))
        with below, pytest.raises(OSError):  # noqa: PT011
            drip(below, b"\x17\x03\x03\x20\x00" + b"x" * 512)

    def test_connections_that_do_not_finish_their_handshake_make_room(self, tmp_path: Path) -> None:
        with Running(Limits(connections=2), Authority(tmp_path / "more")) as running:
            waiting = [running.connect_below() for _ in range(2)]
            await_that(lambda: len(running.server.idle) == 2)
            assert read_answer(running.connect(GET)) == (200, b"")
            assert read_all(waiting[0]) == b""

    def test_its_end_is_told_and_answers_say_that_it_is_spoken(self, running: Running) -> None:
        connection = running.connect(b"GET /stream HTTP/1.0\r\n\r\n")
        connection.suppress_ragged_eofs = False  # without a goodbye this raises
        answer = read_all(connection)
        assert answer.endswith(b"\r\n\r\none two")
        assert b"\r\nStrict-Transport-Security: max-age=60\r\n" in answer

    def test_http_1_1_is_what_is_agreed_on(self, running: Running, tmp_path: Path) -> None:
        for offered, agreed in ((["h2", "http/1.1"], "http/1.1"), (["h2"], None), ([], None)):
            running.client.set_alpn_protocols(offered)
            assert running.connect().selected_alpn_protocol() == agreed

    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
    def test_old_versions_are_not_spoken(self, running: Running) -> None:
        running.client.minimum_version = ssl.TLSVersion.TLSv1
        running.client.maximum_version = ssl.TLSVersion.TLSv1_1
        running.client.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(OSError):  # noqa: PT011
            running.connect()

    def test_a_new_certificate_is_for_new_connections(
        self, running: Running, tmp_path: Path
    ) -> None:
        old = running.connect(GET)
        first = old.getpeercert()["serialNumber"]
        assert read_answer(old) == (200, b"")
        other = Authority(tmp_path, "other")
        pair = other.issue("localhost")
        running.client.load_verify_locations(other.cert)
        running.server.tls = tls_context(TlsSettings(enabled=True, cert=pair.cert, key=pair.key))
        new = running.connect(GET)
        assert new.getpeercert()["serialNumber"] != first
        assert read_answer(new) == (200, b"")
        old.sendall(GET)
        assert read_answer(old) == (200, b"")

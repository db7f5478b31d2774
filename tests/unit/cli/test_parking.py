"""Answers that are idle: over real sockets, with a small application behind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Self

import gevent
import pytest
from gevent.event import Event
from kit.patience import PATIENCE_SECONDS, await_that

from app.cli._connection import Limits
from app.cli._listener import listen
from app.cli._server import Server
from app.errors import StoreUnavailable
from app.resources._dialects import Dialects
from app.resources._held import PARKS
from app.resources.root import DIALECT as ROOT
from app.services.idle import Idle

LONG_SECONDS = 1000.0
SEEN = b"GET /seen HTTP/1.1\r\nHost: localhost\r\n\r\n"
MUCH = b"x" * 8_000_000
"""More than the buffers of a connection hold."""
FOLLOWERS = 200
AT_ONCE = 1 << 16


class Line:
    """Stands for a subscription: those who wait are woken by :meth:`wake`."""

    def __init__(self) -> None:
        self.calls: dict[Callable[[], None], None] = {}

    def call(self, wake: Callable[[], None]) -> None:
        self.calls[wake] = None

    def uncall(self, wake: Callable[[], None]) -> None:
        self.calls.pop(wake, None)

    def wake(self) -> None:
        for call in list(self.calls):
            call()


class Running:
    """A server in a thread with an event loop of its own.

    ``/follow`` begins a stream, to which :meth:`say` adds a piece; ``/poll`` answers with the next
    piece alone, ``/seen`` at once.

    Attributes:
        ended: How many streams and polls have come to their end in any way.
        blocks: Who waits for it holds up its step.
    """

    def __init__(self) -> None:
        self.line = Line()
        self.said: list[Any] = []
        self.seconds = LONG_SECONDS
        self.ended = 0
        self.faults: list[object] = []
        self._listener = listen("127.0.0.1", 0)
        self._listener.setblocking(False)  # as it is in a patched process
        self._address = self._listener.getsockname()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._connections = ExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.close()
        self.call(self._stop.set)
        self._thread.join(PATIENCE_SECONDS)
        self.server.hangups._epoll.close()
        self._hub.destroy(destroy_loop=True)
        assert self.faults == []

    def _run(self) -> None:
        self._hub = hub = gevent.get_hub()
        hub.handle_error = lambda *fault: self.faults.append(fault)
        self._loop, self._stop, self.blocks = hub.loop, Event(), Event()
        limits = Limits(write_seconds=PATIENCE_SECONDS)
        self.server = Server(self._listener, self._application, limits, Dialects([ROOT]))
        self.server.start()
        self._ready.set()
        self._stop.wait()
        self.server.shut_down(lambda: None, 0.1)

    def call(self, function: Callable[[], object]) -> None:
        """Have something done in the thread of the server."""
        self._loop.run_callback_threadsafe(lambda: gevent.spawn(function))

    def say(self, piece: Any) -> None:
        """Let all have a piece; what can be called is called, and what it raises ends them."""

        def tell() -> None:
            self.said.append(piece)
            self.line.wake()

        self.call(tell)

    def _application(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[Any]:
        assert environ[PARKS]
        path = environ["PATH_INFO"]
        if path == "/follow":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return self._stream()
        if path == "/poll":
            return self._poll(start_response)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    def _stream(self) -> Iterator[Any]:
        place = len(self.said)
        try:
            yield b"begin "
            while not self.said[place:] or self.said[place] is not None:
                if self.said[place:]:
                    yield self._made(self.said[place])
                    place += 1
                else:
                    yield Idle(self.line, self.seconds)  # type: ignore[arg-type]
                    if not self.said[place:]:
                        yield b"nothing "
        finally:
            self.ended += 1

    def _poll(self, start_response: Callable[..., Any]) -> Iterator[Any]:
        place = len(self.said)
        try:
            yield Idle(self.line, self.seconds)  # type: ignore[arg-type]
            piece = self._made(self.said[place]) if self.said[place:] else b"nothing"
            start_response("200 OK", [("Content-Length", str(len(piece)))])
            yield piece
        finally:
            self.ended += 1

    @staticmethod
    def _made(piece: Any) -> bytes:
        return piece() if callable(piece) else piece

    def connect(self, path: str = "/follow") -> socket.socket:
        made = socket.create_connection(self._address, PATIENCE_SECONDS)
        self._connections.enter_context(made)
        made.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return made

    def follow(self, number: int = 1, path: str = "/follow") -> list[socket.socket]:
        """Open so many streams, and wait until they are idle."""
        held = len(self.line.calls)
        made = [self.connect(path) for _ in range(number)]
        await_that(lambda: len(self.line.calls) == held + number, "all are idle")
        return made


def until(connection: socket.socket, what: bytes) -> bytes:
    """Read until something has come."""
    got = bytearray()
    while got.find(what, max(0, len(got) - AT_ONCE - len(what))) < 0:
        some = connection.recv(AT_ONCE)
        assert some, got[-1000:]
        got += some
    return bytes(got)


def is_closed(connection: socket.socket) -> bool:
    return connection.recv(1) == b""


def fail() -> bytes:
    raise StoreUnavailable("It is away.")


@pytest.fixture
def running() -> Iterator[Running]:
    with Running() as made:
        yield made


def test_all_get_each_piece_once_and_in_order(running: Running) -> None:
    followers = running.follow(FOLLOWERS)
    for number in range(10):
        running.say(b"<%d>" % number)
    running.say(None)
    for follower in followers:
        text = until(follower, b"0\r\n\r\n")
        pieces = [line for line in text.split(b"\r\n") if line.startswith(b"<")]
        assert pieces == [b"<%d>" % number for number in range(10)]
    assert running.ended == FOLLOWERS


def test_nobody_has_a_greenlet_while_idle(running: Running) -> None:
    before = running.server.active
    running.follow(FOLLOWERS)
    assert running.server.active == before + FOLLOWERS
    greenlets = {call.__self__._greenlet for call in running.line.calls}  # type: ignore[attr-defined]
    assert greenlets == {None}


@pytest.mark.parametrize("path", ["/follow", "/poll"])
def test_the_connection_goes_on_with_the_next_request(running: Running, path: str) -> None:
    [held] = running.follow(path=path)
    running.say(b"last")
    until(held, b"last")
    if path == "/follow":
        running.say(None)
        until(held, b"0\r\n\r\n")
    held.sendall(SEEN)
    assert until(held, b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK")
    assert running.server.open == 1
    await_that(lambda: running.server.active == 0)


@pytest.mark.parametrize("path", ["/follow", "/poll"])
def test_a_request_sent_ahead_is_answered_afterwards(running: Running, path: str) -> None:
    [held] = running.follow(path=path)
    held.sendall(SEEN)
    running.say(b"last")
    running.say(None)
    until(held, b"Content-Length: 0")


def test_a_reader_is_woken_when_their_time_is_over(running: Running) -> None:
    running.seconds = 0.3
    until(running.connect(), b"nothing")
    until(running.connect("/poll"), b"nothing")


def test_who_is_woken_for_two_reasons_goes_on_once(running: Running) -> None:
    polls = running.follow(FOLLOWERS, "/poll")

    def wake_twice() -> None:
        running.said.append(b"last")
        woken = [call.__self__ for call in running.line.calls]  # type: ignore[attr-defined]
        running.line.wake()
        for each in woken:
            each.wake()

    running.call(wake_twice)
    for poll in polls:
        until(poll, b"last")
        poll.sendall(SEEN)
        until(poll, b"Content-Length: 0")


def test_the_end_of_a_time_is_one_of_the_reasons(running: Running) -> None:
    class Waiting:
        def __init__(self) -> None:
            self.calls: list[str] = []

        def wake(self) -> None:
            self.calls.append("wake")

        def step(self) -> None:
            self.calls.append("step")

    waiting, left = Waiting(), Waiting()
    parking = running.server.parking
    running.call(lambda: parking.leave(left, parking.enter(left, 0.1)))
    running.call(lambda: parking.enter(waiting, 0.1))
    await_that(lambda: waiting.calls)
    assert (waiting.calls, left.calls) == (["wake"], [])


def test_who_does_not_read_stops_nobody_else(running: Running) -> None:
    slow, swift = running.follow(20), running.follow(20)
    running.say(MUCH)
    running.say(b"<later>")
    for follower in swift:
        until(follower, b"<later>")
    until(slow[0], b"<later>")  # and they get all when they read again


def test_who_is_held_up_in_a_step_stops_nobody_else(running: Running) -> None:
    first, *others = running.follow(FOLLOWERS)
    turns = iter([running.blocks.wait])

    def wait_once() -> bytes:
        next(turns, bool)()
        return b"<held up>"

    running.say(wait_once)
    for follower in others:
        until(follower, b"<held up>")
    running.call(running.blocks.set)
    until(first, b"<held up>")


@pytest.mark.parametrize("path", ["/follow", "/poll"])
def test_a_client_that_hangs_up_is_let_go_at_once(running: Running, path: str) -> None:
    [gone, _] = running.follow(2, path)
    gone.close()
    await_that(lambda: running.ended == 1)
    await_that(lambda: (running.server.active, running.server.open) == (1, 1))
    assert len(running.line.calls) == 1


def test_a_client_that_hangs_up_while_held_up_takes_nobody_along(running: Running) -> None:
    first, *others = running.follow(FOLLOWERS)
    turns = iter([running.blocks.wait])
    running.say(lambda: b"<held up>" if next(turns, bool)() is None else b"<free>")
    for follower in others:
        until(follower, b"<free>")
    first.close()
    await_that(lambda: running.ended == 1)
    running.say(b"<later>")
    for follower in others:
        until(follower, b"<later>")


def test_an_error_before_the_head_is_answered_in_the_right_form(running: Running) -> None:
    [held] = running.follow(path="/poll")
    running.say(fail)
    answer = until(held, b"It is away.")
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable")
    assert b"Content-Type: application/problem+json" in answer
    await_that(lambda: running.server.open == 0)


def test_an_error_after_the_head_cuts_the_stream_off(running: Running) -> None:
    [held] = running.follow()
    running.say(fail)
    until(held, b"begin")
    assert is_closed(held)
    await_that(lambda: (running.server.open, running.server.active) == (0, 0))


def test_a_poll_of_who_says_no_more_is_answered_with_what_there_is(running: Running) -> None:
    [poll] = running.follow(path="/poll")
    poll.shutdown(socket.SHUT_WR)
    assert until(poll, b"nothing").startswith(b"HTTP/1.1 200 OK")
    assert is_closed(poll)
    assert running.ended == 1


def test_a_stream_of_who_says_no_more_has_ended(running: Running) -> None:
    [stream] = running.follow()
    stream.shutdown(socket.SHUT_WR)
    until(stream, b"begin ")
    await_that(lambda: running.ended == 1, "it has ended")

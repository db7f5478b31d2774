"""One connection to a server, over which one request goes at a time.

What comes is read and taken apart where the event loop notices it, in the hub; the greenlet that
waits for an answer is woken once, when all of it is there. The connection is watched between two
requests too, so one that the server has closed is known before it is used.
"""

from __future__ import annotations

import _socket
import zlib
from time import perf_counter_ns
from typing import Any, Final

import gevent
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from app.load.exchange import Answer, Request, TimedOut, TransportFailed
from app.load.slave.origins import Origin
from app.load.slave.tls import TlsFailed, TlsStream

MOST_BODY: Final = 4 * 1024 * 1024
"""What is kept of a body that somebody looks at, in bytes."""
MOST_HEAD: Final = 256 * 1024
"""Longest head of an answer, in bytes, together with what comes along."""
MOST_IDLE: Final = 1000
"""Free connections that are kept to one server."""
IDLE_SECONDS: Final = 90.0
"""How long a free connection is kept."""

_READ, _WRITE = 1, 2
_BUFFER: Final = memoryview(bytearray(64 * 1024))
"""Where each hub receives; there is one in a process."""


class Stale(Exception):
    """A connection that was kept is closed, before any byte of the answer came."""


class Connection:
    """An open connection.

    Args:
        origin: The server; the connection lies there while it is free.
        sock: Connected, not blocking; it is closed with the connection.
        tls: Its encryption, after the handshake; None for none.
    """

    __slots__ = (
        "_bare", "_body", "_deadline", "_done", "_fault", "_fires", "_got", "_head", "_headers",
        "_heard", "_hub", "_in_head", "_keeps", "_parser", "_read_us", "_room", "_sent", "_sock",
        "_status", "_timer", "_tls", "_used", "_waiter", "_watcher", "open", "origin",
    )  # fmt: skip

    def __init__(self, origin: Origin, sock: _socket.socket, tls: TlsStream | None) -> None:
        self.origin = origin
        self.open = True
        self._sock, self._tls = sock, tls
        self._hub = gevent.get_hub()
        self._parser = HttpResponseParser(self)
        self._used = self._keeps = False
        self._heard = 0
        self._waiter: Any = None
        self._timer: Any = None
        self._fires = 0
        self._deadline = 0
        self._fault: Exception | None = None
        self._done = True
        self._watcher = self._hub.loop.io(sock.fileno(), _READ)
        self._watcher.start(self._on_readable)

    def close(self) -> None:
        """Close it; twice does no harm."""
        if not self.open:
            return
        self.open = False
        self._watcher.stop()
        self._watcher.close()
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
        self._sock.close()

    def is_quiet(self) -> bool:
        """Return whether the server has sent nothing since, not even that it closes."""
        try:
            self._sock.recv(1, _socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def exchange(self, request: Request, data: bytes, deadline_us: int) -> Answer:
        """Send a request and return its answer.

        Args:
            request: What is sent.
            data: The same, written.
            deadline_us: When the answer must be there, by :func:`clock_us`.

        Raises:
            Stale: The server had closed the connection, which was kept.
            TransportFailed: There is no answer.
        """
        self._begin(request, deadline_us)
        try:
            self._send(data, request.timeouts.write_us)
            while not self._done and self._fault is None:
                self._wait()
            if self._fault is not None:
                raise self._fault
            return self._free()
        except BaseException:
            self.close()
            raise

    def _begin(self, request: Request, deadline_us: int) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] | None = [] if request.wants_body else None
        self._room = MOST_BODY
        self._bare = request.method == "HEAD"
        self._in_head, self._head = True, 0
        self._got = self._done = False
        self._fault = None
        self._status = 0
        self._read_us = request.timeouts.read_us
        self._deadline = deadline_us
        self._sent = self._heard = perf_counter_ns() // 1000

    def _send(self, data: bytes, write_us: int) -> None:
        if self._tls is not None:
            data = self._tls.encrypt(data)
        sent = self._send_some(data)
        if sent == len(data):
            return
        view = memoryview(data)
        watcher = self._hub.loop.io(self._sock.fileno(), _WRITE)
        overall = self._deadline
        try:
            while sent < len(data) and not self._done and self._fault is None:
                self._heard = clock_us()
                self._deadline = min(overall, self._heard + write_us)
                watcher.start(self._wake)
                self._wait()
                watcher.stop()
                sent += self._send_some(view[sent:])
        finally:
            watcher.stop()
            watcher.close()
            self._deadline = overall

    def _send_some(self, data: bytes | memoryview) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._lost("the connection was closed while a request was sent")
            return 0

    def _wait(self) -> None:
        """Let others run until something has come, or it takes too long."""
        until = min(self._deadline, self._heard + self._read_us)
        if not self._fires or until < self._fires:
            self._ring(until)
        self._waiter = gevent.getcurrent()
        try:
            self._hub.switch()
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            waiter.switch()

    def _free(self) -> Answer:
        """Return the answer, and keep the connection for the next request if that can be."""
        answer = Answer(self._status, self._heard - self._sent, self._headers, self._whole_body())
        self._used = True
        idle = self.origin.idle
        if not self._keeps or not self.open or len(idle) >= MOST_IDLE:
            self.close()
        else:
            idle.append(self)
        return answer

    def _whole_body(self) -> bytes:
        if not self._body:
            return b""
        body = b"".join(self._body)
        coding = self._header(b"content-encoding")
        if coding not in {b"gzip", b"x-gzip", b"deflate"}:
            return body
        for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # with a head, or bare as of some
            try:
                return zlib.decompressobj(window).decompress(body, MOST_BODY)
            except zlib.error:
                continue
        return body

    def _header(self, wanted: bytes) -> bytes:
        values = [value for name, value in self._headers if name.lower() == wanted]
        return values[-1].strip().lower() if values else b""

    def _ring(self, until_us: int) -> None:
        """Have the hub look at the time at a moment; later moments need no other timer."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
        self._fires = until_us
        self._timer = self._hub.loop.timer(max(0.0, (until_us - clock_us()) / 1_000_000))
        self._timer.start(self._on_time)

    def _on_time(self) -> None:
        now = clock_us()
        if self._waiter is None:
            until = self._heard + round(IDLE_SECONDS * 1_000_000)
            if until <= now and self._done:
                self.close()
                return
        else:
            until = min(self._deadline, self._heard + self._read_us)
            if until <= now:
                self._fires = 0
                self._fault = TimedOut("TIMEOUT_ERROR", "no answer came in time", now - self._sent)
                self._wake()
                return
        self._ring(max(until, now + 1000))

    def _on_readable(self) -> None:
        try:
            size = self._sock.recv_into(_BUFFER)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self._on_end()
        elif self._tls is None:
            self._take(_BUFFER[:size])
        else:
            self._take_encrypted(self._tls, _BUFFER[:size])
        if self._done or self._fault is not None:
            self._wake()

    def _take_encrypted(self, tls: TlsStream, received: memoryview) -> None:
        try:
            pieces, ended = tls.decrypt(received)
        except TlsFailed as exc:
            self._lost(str(exc))
            return
        for piece in pieces:
            self._take(piece)
        if answer := tls.to_send():
            self._send_some(answer)
        if ended:
            self._on_end()

    def _take(self, data: bytes | memoryview) -> None:
        if self._done:  # nobody has asked for it
            self._keeps = False
            if self._waiter is None:
                self.close()
            return
        self._got = True
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._done:
                self._fail("the answer is not HTTP/1.1")
            return
        self._heard = perf_counter_ns() // 1000
        if self._in_head:
            self._head += len(data)
            if self._head > MOST_HEAD:
                self._fail("the head of the answer is too long")

    def _on_end(self) -> None:
        """Note that the server has closed the connection."""
        self._watcher.stop()
        self._keeps = False
        if self._done:
            if self._waiter is None:
                self.close()
        elif not self._in_head and not self._has_length():
            self._heard = clock_us()
            self._done = True
        else:
            self._lost("the connection was closed before the end of the answer")

    def _has_length(self) -> bool:
        """Return whether the head says where the body ends (RFC 9112, 6.3)."""
        return bool(self._header(b"content-length")) or self._header(b"transfer-encoding").endswith(
            b"chunked"
        )

    def _lost(self, message: str) -> None:
        self._watcher.stop()
        self._keeps = False
        if self._done:
            self.close()
        elif self._used and not self._got:
            self._fault = Stale()
        else:
            self._fail(message)

    def _fail(self, message: str) -> None:
        self._fault = TransportFailed("CONNECTION_ERROR", message, clock_us() - self._sent)

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; those behind the body are none."""
        if self._in_head:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the status; interim answers (RFC 9110, 15.2) are passed over."""
        status = self._parser.get_status_code()
        if status == 101:
            self._fail("the server wants to speak something else than HTTP")
        if status < 200:
            return
        self._status, self._in_head = status, False
        if self._bare:
            # The length of a body that does not come would let the parser wait for it.
            self._keeps = self._parser.should_keep_alive()
            self._done = True
            self._parser = HttpResponseParser(self)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self._bare:
            self._keeps = False
        elif self._body is not None and self._room > 0:
            self._body.append(body[: self._room])
            self._room -= len(body)

    def on_message_complete(self) -> None:
        """Note that all is there; whether the connection is kept is known now, and not later."""
        if self._in_head:
            self._headers.clear()
        elif not self._done:
            self._keeps = self._parser.should_keep_alive()
            self._done = True

    def on_message_begin(self) -> None:
        """Note another answer behind the one that was asked for."""
        if self._done:
            self._keeps = False


def clock_us() -> int:
    """Return the time by which exchanges are measured, in microseconds."""
    return perf_counter_ns() // 1000

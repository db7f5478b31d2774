"""One connection of the HTTP server: its requests one after the other, with limits of time.

The requests are read by ``_http1``; the answers are written by gevent's WSGI handler. A request is
read whole before the application sees it, so that what a client sends, and how slowly, is no matter
of the application's.
"""

from __future__ import annotations

import errno
import socket
import ssl
import sys
import time
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any

import gevent
import structlog
from gevent.pywsgi import WSGIHandler

from app.cli._http1 import Content, Head, HeadReader, Refused, content_of
from app.cli._parking import LEAST_SECONDS
from app.cli._tls_socket import TlsSocket
from app.errors import SlipwayError
from app.identity.attempts import side_of
from app.resources._auth import CERTIFICATE
from app.resources._held import PARKS
from app.resources._websocket import HIJACKED
from app.services.idle import Idle

if TYPE_CHECKING:
    from app.cli._server import Server
    from app.cli._tls_socket import TlsContext

log = structlog.get_logger(__name__)

_RECEIVE_BYTES = 64 * 1024
# Less of what takes its time: each field, and each chunk.
_RECEIVE_HEAD_BYTES = 16 * 1024
_RECEIVE_CHUNKS_BYTES = 8 * 1024
# A client that sends many tiny pieces is heard a hundred times a second, when more has come.
_TINY_BYTES = 512
_FEW_TINY = 4
_PAUSE_SECONDS = 0.01
"""How long its next piece waits."""
_SEND_BYTES = 64 * 1024
_SMALL_BODY_BYTES = 64 * 1024
_LINGER_SECONDS = 2.0
"""For a client that was refused to read why."""
_LINGER_BYTES = 4 * 1024 * 1024
_RETRY_SECONDS = 5
"""When a client may send its large body again."""
_LAST_CALL_SECONDS = 5.0
"""How long an answer may still take whose client says no more, and may be gone."""
_HELD_METHODS = ("GET", "HEAD")
_HANDSHAKE = b"\x16"
"""With what a client begins that speaks TLS (RFC 8446, 5.1: the type of the record)."""
_NO_TLS = "TLS is spoken here: the address must begin with https://."
_CLOSE = (b"Connection", b"close")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class Limits:
    """What a client may ask of the server before it knows who that is.

    Attributes:
        connections: Most at a time.
        idle_seconds: How long a connection may stay open without a request.
        head_seconds: Longest time from the first byte of a request to the end of its head.
        body_seconds: In each such time at least ``body_rate`` bytes a second must come.
        body_rate: Least rate of a body, in bytes a second.
        write_seconds: Longest time in which a client takes nothing of its answer.
        body_bytes: Largest body.
        bodies_bytes: What all bodies beyond the small ones may take together.
    """

    connections: int = 100_000
    idle_seconds: float = 75.0
    head_seconds: float = 10.0
    body_seconds: float = 10.0
    body_rate: int = 1024
    write_seconds: float = 60.0
    body_bytes: int = 1024 * 1024
    bodies_bytes: int = 64 * 1024 * 1024


class _Pace:
    """Until when more of a body must come, by the least rate."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._since, self._bytes = time.monotonic(), 0

    def deadline(self, received: int) -> float:
        """Count what was received, and return the latest moment for the next bytes."""
        self._bytes += received
        if self._bytes >= self._limits.body_rate * self._limits.body_seconds:
            self._since, self._bytes = time.monotonic(), 0
        return self._since + self._limits.body_seconds


class _Input(BytesIO):
    """A body that is all there."""

    __slots__ = ()

    def _discard(self) -> None:
        """Leave nothing on the connection, as gevent's handler asks for: nothing is there."""


class Connection(WSGIHandler):  # type: ignore[misc]
    """One connection.

    Args:
        sock: Its socket.
        address: Whose it is.
        server: The server.
    """

    # A client that ends TLS without a goodbye is gone like any other.
    ignored_socket_errors = (*WSGIHandler.ignored_socket_errors, ssl.SSL_ERROR_EOF)

    server: Server
    environ: Any
    wsgi_input: Any

    def __init__(self, sock: Any, address: Any, server: Server) -> None:
        # Not the stock one, which reads through a file of its own.
        self.socket = sock
        self.client_address = address
        self.server = server
        self._ahead = b""
        self._path = "/"
        self._origin: str | None = None
        self._charged = 0
        self._tiny = 0
        self._ended = False
        self._idle: Idle | None = None
        self._has_hung_up = self._is_gone = self._is_hurried = False
        self._last_call: Any = None
        self._certificate: dict[str, Any] | None = None

    def begin(self) -> None:
        """Agree on TLS where that is spoken, and answer requests."""
        if self.server.tls is None or self._secure(self.server.tls):
            self.handle()
        else:
            self._close()

    def _secure(self, tls: TlsContext) -> bool:
        """Agree on TLS within the time of a head, as a whole; False if it did not come to that."""
        self.server.idle[self] = None
        try:
            with gevent.Timeout(self.server.limits.head_seconds, TimeoutError("timed out")):
                first = self.socket.recv(1, socket.MSG_PEEK)
                if first == _HANDSHAKE:
                    # Not a part of the next line: it must be there to be closed meanwhile.
                    self.socket = tls.wrap_socket(
                        self.socket, server_side=True, do_handshake_on_connect=False
                    )
                    self.socket.do_handshake()
                    self._certificate = self.socket.getpeercert() or None
        except OSError as exc:
            log.debug("no TLS connection", error=str(exc), client=self._client())
            return False
        finally:
            self.server.idle.pop(self, None)
        if first and first != _HANDSHAKE:
            with suppress(OSError):
                self._refuse(Refused(HTTPStatus.BAD_REQUEST, _NO_TLS))
        return bool(first == _HANDSHAKE)

    def handle(self) -> None:
        """Answer requests until the connection ends, or until an answer is idle."""
        try:
            while (head := self._read_head()) is not None:
                self._answer(head)
                if self._idle is not None:
                    return
                if self.close_connection:
                    break
        except Refused as refused:
            with suppress(OSError):
                self._refuse(refused)
        except OSError:
            pass  # the client is gone
        finally:
            if self._idle is None:
                self._close()

    def _close(self) -> None:
        with suppress(OSError):
            # A stray line end after the last request must not reset the connection.
            self.socket.settimeout(0)
            if isinstance(self.socket, TlsSocket):
                self.socket.say_goodbye()
            self.socket.recv(_RECEIVE_BYTES)
        self.server.do_close(self.socket, self.client_address)

    def end(self) -> None:
        """Close it; to be called from anywhere while no request is being answered."""
        self._ended = True
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def _read_head(self) -> Head | None:
        """Wait for a request; None if none comes."""
        reader, limits = HeadReader(), self.server.limits
        data, self._ahead = self._ahead, b""
        self._tiny = 0
        self.server.idle[self] = None
        try:
            if not data:
                self.socket.settimeout(limits.idle_seconds)
                try:
                    data = self.socket.recv(_RECEIVE_HEAD_BYTES)
                except TimeoutError:
                    return None
            deadline = time.monotonic() + limits.head_seconds
            while data:
                rest = reader.feed(data)
                if rest is not None:
                    self._ahead = rest
                    return reader.head
                data = self._receive(deadline, "The head of the request", _RECEIVE_HEAD_BYTES)
            return None
        finally:
            self._path, self._origin = reader.path, reader.origin
            self.server.idle.pop(self, None)

    def _answer(self, head: Head) -> None:
        self.server.active += 1
        try:
            body = self._read_body(head)
            if self._ended:
                # It had come already. Nobody would hear what became of it, so nothing does.
                raise ConnectionResetError(errno.ECONNRESET, "the connection was closed")
            self.socket.settimeout(self.server.limits.write_seconds)
            self.command, self.request_version = head.method, head.version
            self.close_connection = not head.keep_alive
            self.environ = self._environ(head, body)
            self.application = self.server.application
            self.handle_one_response()
        finally:
            # Whoever waits must not keep the request and its body.
            self.environ = self.wsgi_input = None
            self.server.bodies_bytes -= self._charged
            self._charged = 0
            if self._idle is None:
                self.server.active -= 1

    def _read_body(self, head: Head) -> bytes:
        if head.length == 0:
            return b""
        limits = self.server.limits
        content = content_of(head, limits.body_bytes)
        data, self._ahead = self._ahead, b""
        if head.awaits_continue and not data:
            self.socket.sendall(_CONTINUE)
        size = _RECEIVE_CHUNKS_BYTES if head.length is None else _RECEIVE_BYTES
        pace = _Pace(limits)
        self.server.reading[self] = None
        try:
            while (rest := self._feed(content, data)) is None:
                deadline = pace.deadline(len(data))
                data = self._receive(deadline, "The body of the request", size)
                if not data:
                    raise ConnectionResetError(errno.ECONNRESET, "the body is cut off")
        finally:
            self.server.reading.pop(self, None)
        self._ahead = rest
        # The content of a GET has no meaning, and need not be kept while that is held.
        return b"" if head.method in _HELD_METHODS else content.take()

    def _feed(self, content: Content, data: bytes) -> bytes | None:
        if content.is_costly:
            # One at a time, however many connections send such a one.
            with self.server.turn:
                rest = content.feed(data)
                gevent.sleep(0)
        else:
            rest = content.feed(data)
        self._charge(content)
        return rest

    def _receive(self, deadline: float, what: str, size: int) -> bytes:
        """Wait for more of a request, and let others have their turn."""
        gevent.sleep(_PAUSE_SECONDS if self._tiny > _FEW_TINY else 0)
        left = deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            self.socket.settimeout(left)
            data: bytes = self.socket.recv(size)
            if self._tiny > _FEW_TINY and isinstance(self.socket, TlsSocket):
                data += self.socket.take(size - len(data))
            self._tiny += len(data) < _TINY_BYTES
        except TimeoutError:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, f"{what} came too slowly.") from None
        return data

    def _charge(self, content: Content) -> None:
        """Count what large bodies take, and refuse one when all together take too much."""
        more = max(content.size - _SMALL_BODY_BYTES, 0) - self._charged
        self._charged += more
        self.server.bodies_bytes += more
        if more and self.server.bodies_bytes > self.server.limits.bodies_bytes:
            text = "Too many large bodies are being received; try again later."
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, text, _RETRY_SECONDS)

    def _environ(self, head: Head, body: bytes) -> dict[str, Any]:
        environ: dict[str, Any] = self.server.get_environ()
        environ.update(head.variables)
        environ["SCRIPT_NAME"] = ""
        if head.length != 0:  # one in chunks has a length by now, which WSGI needs (PEP 3333)
            environ["CONTENT_LENGTH"] = str(len(body))
        if isinstance(self.client_address, tuple):
            host, port, *_ = self.client_address
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = str(host), str(port)
        if isinstance(self.socket, TlsSocket):
            environ["wsgi.url_scheme"] = "https"
            environ[CERTIFICATE] = self._certificate
        self.wsgi_input = environ["wsgi.input"] = _Input(body)
        environ["wsgi.input_terminated"] = True
        environ["slipway.socket"] = self.socket
        environ[PARKS] = True
        return environ

    def _refuse(self, refused: Refused) -> None:
        """Say what is wrong, and close; what else the client has sent is not read."""
        self.server.refusals.let_others_go_first(side_of(self._client()))
        log.info(
            "request refused", status=refused.status.value, detail=refused.detail,
            client=self._client(),
        )  # fmt: skip
        answer = self.server.answers.refuse(
            self._path, refused.status, refused.detail, refused.retry_after_seconds, self._origin
        )
        self.socket.settimeout(_LINGER_SECONDS)
        if isinstance(self.socket, TlsSocket):
            answer.headers.extend(self.server.tls_fields)
            self.socket.sendall(_bytes_of(answer))
            self.socket.say_goodbye()
        else:
            self.socket.sendall(_bytes_of(answer))
        self.socket.shutdown(socket.SHUT_WR)
        self._linger()

    def _client(self) -> str | None:
        return str(self.client_address[0]) if isinstance(self.client_address, tuple) else None

    def _linger(self) -> None:
        """Leave the client the time to read its answer, which closing at once would take away.

        A socket that is closed with bytes unread is reset (RFC 9112, 9.6).
        """
        deadline, room = time.monotonic() + _LINGER_SECONDS, _LINGER_BYTES
        is_tls = isinstance(self.socket, TlsSocket)
        receive = self.socket.recv_below if is_tls else self.socket.recv
        while room > 0 and (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            data = receive(_RECEIVE_BYTES)
            if not data:
                return
            room -= len(data)
            gevent.sleep(0)

    def run_application(self) -> None:
        """Answer one request, and notice when its client goes away meanwhile."""
        # Without this a busy connection would never let go of the loop.
        gevent.sleep(0)
        self._greenlet = gevent.getcurrent()
        self._has_hung_up = self._is_gone = self._is_hurried = False
        # A client that gets its answer may have gone for good only where nothing is changed.
        if self.command in _HELD_METHODS:
            self.server.hangups.hold(self.socket.fileno(), self._hang_up)
        try:
            self.result = self.application(self.environ, self.start_response)
            self._pieces = iter(self.result)
            self.process_result()
        finally:
            # What came over a WebSocket is no request.
            self.close_connection |= HIJACKED in self.environ
            self._let_go()

    def _let_go(self) -> None:
        """Let go of what belongs to one answer, unless that is idle."""
        if self._idle is not None:
            return
        self.server.hangups.release(self.socket.fileno())
        if self._last_call is not None:
            self._last_call.close()
            self._last_call = None
        result, self.result, self._pieces = self.result, None, None
        if hasattr(result, "close"):
            result.close()

    def _hang_up(self, is_gone: bool) -> None:
        """Bring the answer to its end, as its client is gone or says no more; runs in the hub.

        What is about to be answered still is, since the client may wait for that.
        """
        self._has_hung_up, self._is_gone = True, is_gone
        if self._idle is not None:
            self.wake()
        elif is_gone:
            self._greenlet.kill(block=False)
        elif not self.headers_sent:  # else its next piece tells
            self._last_call = gevent.get_hub().loop.timer(_LAST_CALL_SECONDS)
            self._last_call.start(self._hang_up, True)

    def _park(self, idle: Idle) -> None:
        """Wait without a greenlet; see :mod:`app.cli._parking`."""
        self._idle, self._is_woken, self._greenlet = idle, False, None
        self._context = copy_context()
        self._tick = self.server.parking.enter(self, idle.seconds)
        idle.subscription.call(self.wake)
        if self._has_hung_up:
            self.wake()

    def wake(self) -> None:
        """Have :meth:`step` called soon; for as many reasons as there are, once."""
        if not self._is_woken:
            self._is_woken = True
            self.server.parking.wake(self)

    def step(self) -> None:
        """Go on with an answer that was idle, until it is again, or is done."""
        assert self._idle is not None  # noqa: S101  (it is woken once for each time)
        self.server.parking.leave(self, self._tick)
        self._idle.subscription.uncall(self.wake)
        self._hurry(self._idle)
        self._idle, self._greenlet = None, gevent.getcurrent()
        done = False
        try:
            done = self._context.run(self._go_on)
        finally:
            if self._idle is None:
                self.server.active -= 1
                if done and not self.close_connection:
                    gevent.spawn(self.handle)
                else:
                    self._close()

    def _hurry(self, idle: Idle) -> None:
        """Have what a client waits for that says no more answered with what there is.

        An answer that is under way, or is idle again all the same, has nobody to wait for.
        """
        if self._has_hung_up:
            self._is_gone |= self.headers_sent or self._is_hurried
            self._is_hurried = idle.is_over = True

    def _go_on(self) -> bool:
        """Go on as the stock handler's ``handle_one_response`` would; True when that went well."""
        try:
            try:
                if self._is_gone:
                    raise ConnectionResetError(errno.ECONNRESET, "the client has hung up")
                self.process_result()
            finally:
                self._let_go()
        except OSError as exc:
            self.close_connection = True
            if exc.errno not in self.ignored_socket_errors:
                self.handle_error(*sys.exc_info())
        except BaseException:  # noqa: BLE001  (also the end of the greenlet, as for any answer)
            self.handle_error(*sys.exc_info())
        else:
            return True
        return False

    def handle_error(self, kind: Any, error: Any, trace: Any) -> None:
        """Answer for an application that failed after it had returned, if nothing was sent yet."""
        if not isinstance(error, SlipwayError):
            self.environ = self.environ or {}  # an answer that was idle has none any more
            self._log_error(kind, error, trace)
        self.close_connection = True
        if self.headers_sent or not isinstance(error, Exception):
            return
        answer = self.server.answers.fail(self._path, error, self._origin)
        try:
            self.start_response(answer.status, answer.headers.to_wsgi_list())
            self.write(b"" if self.command == "HEAD" else answer.get_data())
        except OSError:
            pass  # the client is gone

    def process_result(self) -> None:
        """Send what the application yields; the head at once, even if that is nothing yet."""
        for data in self._pieces:
            if not isinstance(data, Idle):
                if self.command == "HEAD":
                    break  # it is told what the head is, and no more
                self.write(data)
            elif data.seconds < LEAST_SECONDS:
                data.wait()
            else:
                self._park(data)
                return
        self._begin_unless_taken()
        if self.response_use_chunked and self.command != "HEAD":
            self._sendall(b"0\r\n\r\n")

    def _begin_unless_taken(self) -> None:
        if self.status and not self.headers_sent:
            self.write(b"")

    def start_response(self, status: str, *args: Any) -> Any:
        """Begin an answer, with the reason in the standard's own letters."""
        return super().start_response(_status_line(status), *args)

    def finalize_headers(self) -> None:
        """Tell the client when it must come back on another connection."""
        self.close_connection |= self.server.stopping
        if self.close_connection and _CLOSE not in self.response_headers:
            self.response_headers.append(_CLOSE)
        if isinstance(self.socket, TlsSocket):
            for name, value in self.server.tls_fields:
                self.response_headers.append((name.encode(), value.encode()))
        super().finalize_headers()

    def _sendall(self, data: bytes) -> None:
        """Send all of it, to a client that takes some of it in each span of time."""
        try:
            for at in range(0, len(data), _SEND_BYTES):
                super()._sendall(memoryview(data)[at : at + _SEND_BYTES])
        except TimeoutError:
            raise BrokenPipeError(errno.EPIPE, "the client does not read its answer") from None

    def log_request(self) -> None:
        """Leave the log of requests to the application."""


@lru_cache
def _status_line(status: str) -> str:
    """Write a status as RFC 9110 does; Werkzeug writes the reason in capitals."""
    code = int(status.partition(" ")[0])
    known = {each.value: each.phrase for each in HTTPStatus}
    return f"{code} {known[code]}" if code in known else status


def _bytes_of(answer: Any) -> bytes:
    """Write an answer of the application's own form without the application."""
    head = [f"HTTP/1.1 {_status_line(answer.status)}"]
    head += [f"{name}: {value}" for name, value in answer.headers.items()]
    head.append(f"Date: {formatdate(usegmt=True)}")
    body: bytes = answer.get_data()
    return "\r\n".join([*head, "Connection: close", "", ""]).encode("latin-1") + body

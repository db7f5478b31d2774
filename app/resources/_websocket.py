"""A WebSocket connection (RFC 6455) on the socket of a WSGI request.

The protocol is wsproto's, but for the frames of messages, which it takes long to write; this file
moves the bytes. Whole messages are written, so that a slow client is waited for and never gets half
of one. What clients say is ignored, unless somebody listens.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from flask import Response
from werkzeug import exceptions
from werkzeug.exceptions import BadRequest
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from app.services.turns import Turn

# Ours, and Werkzeug's development server.
_SOCKETS = ("slipway.socket", "werkzeug.socket")
HIJACKED = "slipway.hijacked"
"""Where the WSGI environment tells the server to close the socket without another word."""

_RECEIVE_BYTES = 512
"""What is looked at in one turn: it may be a hundred frames."""

_LISTEN_BYTES = 4096
"""The same of one who is listened to: messages are long then."""

_GOODBYE_SECONDS = 1.0
"""For the client's answer to a goodbye, or ours to the client's."""
_FINAL_TEXT = 0x81
_LONGEST_REASON = 123
_UNEXPECTED, _TOO_LARGE = 1003, 1009
_LINGER_BYTES = 4 * 1024 * 1024
"""What a client may still send that was told goodbye, before it is cut off."""


class Closed(Exception):
    """The client closed the connection, or is gone."""


class _Refused(Exception):
    """What a client said is not taken, and ends the connection.

    Attributes:
        code: As RFC 6455, 7.4 lists them.
        reason: For the client.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Listener(Protocol):
    """Somebody who takes what a client says."""

    @property
    def most_bytes(self) -> int:
        """Longest text."""

    def read(self, text: str) -> Callable[[], None]:
        """Look at a text, in a turn, so without waiting for anything.

        Returns:
            What is done with it afterwards, which may wait; so long nothing more is read.
        """

    def ended(self) -> None:
        """Hear that the client will say nothing more."""


class WebSocket:
    """The server's end of a connection.

    Args:
        environ: The WSGI environment of the request.
        turn: Taken to look at what the client says, which may be much.
        listener: Takes the texts that the client sends; without, they are read and ignored.

    Raises:
        BadRequest: The request is no WebSocket handshake.
        NotImplemented: The WSGI server does not hand out its socket.
        Closed: The client is gone already.
    """

    def __init__(
        self, environ: Mapping[str, Any], turn: Turn, listener: Listener | None = None
    ) -> None:
        self._turn = turn
        self._listener = listener
        self._text: list[str] = []
        self._text_bytes = 0
        self._socket = _socket_of(environ)
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._lock = threading.Lock()
        self._open = True
        self._answered = True
        try:
            self._protocol.initiate_upgrade_connection(_headers(environ), environ["PATH_INFO"])
            if not any(isinstance(event, Request) for event in self._protocol.events()):
                raise BadRequest("This is a WebSocket: the request must ask for an upgrade.")
        except RemoteProtocolError as exc:
            raise BadRequest(f"This is a WebSocket: {exc}.") from None
        # The server's limits are those of requests; here pings tell who is gone.
        self._socket.settimeout(None)
        self._write(AcceptConnection())
        self._reader = threading.Thread(target=self._read, name="websocket", daemon=True)
        self._reader.start()

    def send(self, frames: bytes) -> None:
        """Send messages, each written by :func:`text_frame`.

        Raises:
            Closed: There is nobody to get them.
        """
        try:
            with self._lock:
                if not self._open or self._protocol.state is not ConnectionState.OPEN:
                    raise Closed
                self._socket.sendall(frames)
        except OSError as exc:
            self._open = False
            raise Closed from exc

    def ping(self) -> None:
        """Ask whether the client is there.

        Raises:
            Closed: It is not, or has not answered the last time.
        """
        if not self._answered:
            raise Closed
        self._answered = False
        self._write(Ping())

    def close(self, code: int, reason: str) -> None:
        """End the connection, and give the client a moment to do the same.

        Args:
            code: As RFC 6455, 7.4 lists them.
            reason: For the client; what does not fit into the frame is cut off.
        """
        fitting = reason.encode()[:_LONGEST_REASON].decode(errors="ignore")
        try:
            self._write(CloseConnection(code=code, reason=fitting))
        except Closed:
            return
        finally:
            self._open = False
        self._reader.join(_GOODBYE_SECONDS)

    def leave(self) -> None:
        """Wait a moment for the answer to the client's goodbye to be sent, if it said one."""
        if self._protocol.state is not ConnectionState.OPEN:
            self._reader.join(_GOODBYE_SECONDS)

    def _write(self, event: Event) -> None:
        try:
            with self._lock:
                if not self._open:
                    raise Closed
                self._socket.sendall(self._protocol.send(event))
        except OSError as exc:
            self._open = False
            raise Closed from exc
        except LocalProtocolError as exc:  # the client says goodbye, which the reader answers
            raise Closed from exc

    def _read(self) -> None:
        """Read until the end; then the held request is let go by hanging up on it."""
        try:
            while data := self._receive():
                with self._turn():
                    self._protocol.receive_data(data)
                    events = list(self._protocol.events())
                for event in events:
                    self._take(event)
        except _Refused as refused:
            self._dismiss(refused)
        except RemoteProtocolError as exc:
            if isinstance(exc.event_hint, CloseConnection):
                self._dismiss(_Refused(exc.event_hint.code, str(exc)))
        except (OSError, Closed):
            pass
        self._open = False
        if self._listener is not None:
            self._listener.ended()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _receive(self) -> bytes:
        """Wait for something from the client; the socket's time limit is there for writing."""
        size = _RECEIVE_BYTES if self._listener is None else _LISTEN_BYTES
        while True:
            with suppress(TimeoutError):
                return self._socket.recv(size)
            if not self._open:
                return b""

    def _take(self, event: Event) -> None:
        if isinstance(event, Pong):
            self._answered = True
        elif isinstance(event, Ping):
            self._write(event.response())
        elif isinstance(event, CloseConnection):
            self._write(event.response())
            raise Closed
        elif self._listener is not None:
            self._listen(self._listener, event)

    def _listen(self, listener: Listener, event: Event) -> None:
        if isinstance(event, BytesMessage):
            raise _Refused(_UNEXPECTED, "only texts are taken here")
        if not isinstance(event, TextMessage):
            return
        self._text_bytes += len(event.data.encode())
        if self._text_bytes > listener.most_bytes:
            raise _Refused(_TOO_LARGE, f"a text must be no longer than {listener.most_bytes} bytes")
        self._text.append(event.data)
        if event.message_finished:
            text, self._text, self._text_bytes = "".join(self._text), [], 0
            with self._turn():
                take = listener.read(text)
            take()

    def _dismiss(self, refused: _Refused) -> None:
        """Say goodbye to a client, and leave it a moment to read why.

        A socket that is closed with bytes unread is reset, and what was sent is lost with it.
        """
        fitting = refused.reason.encode()[:_LONGEST_REASON].decode(errors="ignore")
        with suppress(Closed, OSError):
            self._write(CloseConnection(code=refused.code, reason=fitting))
            self._socket.shutdown(socket.SHUT_WR)
            deadline, left = time.monotonic() + _GOODBYE_SECONDS, _LINGER_BYTES
            while left > 0 and (seconds := deadline - time.monotonic()) > 0:
                self._socket.settimeout(seconds)
                data = self._socket.recv(min(left, _LISTEN_BYTES))
                if not data:
                    return
                left -= len(data)


def text_frame(message: bytes) -> bytes:
    """Write a whole message as one frame of text (RFC 6455, 5.2).

    A server's frames are not masked and no extension is spoken, so all connections get the same
    bytes, and what many get is written once.
    """
    size = len(message)
    if size < 126:
        return struct.pack("!BB", _FINAL_TEXT, size) + message
    if size < 1 << 16:
        return struct.pack("!BBH", _FINAL_TEXT, 126, size) + message
    return struct.pack("!BBQ", _FINAL_TEXT, 127, size) + message


class Hijacked(Response):
    """Stands for a response where the view has used the socket itself, which is of no more use."""

    def __call__(self, environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Write nothing."""
        environ[HIJACKED] = True
        return ()


def _socket_of(environ: Mapping[str, Any]) -> socket.socket:
    for name in _SOCKETS:
        if name in environ:
            found: socket.socket = environ[name]
            return found
    raise exceptions.NotImplemented("This web server cannot speak WebSocket; use 'slipway web'.")


def _headers(environ: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    return [
        (name[5:].replace("_", "-").encode(), str(value).encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]

"""The one connection of a slave: a WebSocket to its master (RFC 6455), which wsproto speaks.

To connect may take long, and is done in a thread of its own. What is open never blocks: the slave
goes on with it whenever its socket has something, or takes something.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Message,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, ProtocolError, RemoteProtocolError

from app.load.protocol import (
    LARGEST_ORDER,
    LARGEST_TEXT,
    NOT_ALLOWED,
    PATH,
    PROTOCOL_ERROR,
    TAKEN_FOR_LOST,
    TOO_LARGE,
)

if TYPE_CHECKING:
    import ssl

CONNECT_SECONDS: Final = 5.0
"""Longest time for each step of connecting."""

_RECEIVE_BYTES: Final = 64 * 1024
_LARGEST_HEAD_BYTES: Final = 64 * 1024
_MOST_UNSENT_BYTES: Final = 4 * LARGEST_TEXT
_LONGEST_TOLD: Final = 300
_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_SECURE: Final = ("https", "wss")
_FOREVER: Final = (
    HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED,
)  # fmt: skip
"""Answers that will be the same the next time."""
_ABOUT_KEY: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Unreachable(Exception):
    """There is no connection now; there may be one later."""


class NotWelcome(Exception):
    """The master does not take this slave, with this key, at this address.

    Attributes:
        is_about_key: Whether that is for the key, and not for what answers there.
    """

    def __init__(self, reason: str, *, is_about_key: bool = False) -> None:
        super().__init__(reason)
        self.is_about_key = is_about_key


class Ended(Exception):
    """The other side has closed the connection, or broke it.

    Attributes:
        code: Of its goodbye (RFC 6455, 7.4); None where it said none.
    """

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code

    @property
    def for_good(self) -> bool:
        """Whether the slave is not wanted any more, as when its key was revoked."""
        return self.code == NOT_ALLOWED

    @property
    def at_once(self) -> bool:
        """Whether what the slave does is not its own any more."""
        return self.code in (NOT_ALLOWED, TAKEN_FOR_LOST)


@dataclass(frozen=True, slots=True)
class Master:
    """Where a master is, and how to get in.

    Attributes:
        host: Its name or address.
        port: TCP port.
        secure: By TLS.
        prefix: Path below which the service answers; empty for none.
        key: What proves that the slave may join; None where nobody asks for it.
        ca: File with the certificates that are trusted; None for those of the system.
        verify: Whether the master must show a certificate that is trusted.
        host_name: What the field ``Host`` says; the address itself unless given.
    """

    host: str
    port: int
    secure: bool = False
    prefix: str = ""
    key: str | None = field(default=None, repr=False)
    ca: str | None = None
    verify: bool = True
    host_name: str | None = None

    @classmethod
    def at(cls, url: str, **more: Any) -> Master:
        """Read an address such as ``https://gateway.example:8080/slipway``.

        Raises:
            ValueError: It is none.
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an address such as http://localhost:8080")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not hold a password; the key is given in another way")
        port = parts.port or _PORTS[parts.scheme]
        prefix = parts.path.rstrip("/")
        return cls(parts.hostname, port, parts.scheme in _SECURE, prefix, **more)

    @property
    def url(self) -> str:
        """The address, without the key."""
        scheme = "https" if self.secure else "http"
        return f"{scheme}://{self._authority}{self.prefix}"

    @property
    def _authority(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        usual = _PORTS["https" if self.secure else "http"]
        return shown if self.port == usual else f"{shown}:{self.port}"

    def request(self) -> Request:
        """Return what asks for the connection."""
        headers = [(b"User-Agent", b"slipway-slave")]
        if self.key is not None:
            headers.append((b"Authorization", f"Bearer {self.key}".encode()))
        host = self.host_name or self._authority
        return Request(host=host, target=self.prefix + PATH, extra_headers=headers)


def connect(master: Master) -> Connection:
    """Connect; it takes as long as the network and the master do, within bounds.

    Raises:
        Unreachable: Nobody answers, or not now.
        NotWelcome: Somebody answers that this slave is not taken.
    """
    try:
        sock = socket.create_connection((master.host, master.port), CONNECT_SECONDS)
    except OSError as exc:
        raise Unreachable(f"{master.url}: {exc}") from exc
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if master.secure:
            sock = _tls(master).wrap_socket(sock, server_hostname=master.host)
        protocol = _shaken_hands(sock, master)
        sock.setblocking(False)
        return Connection(sock, protocol)
    except (OSError, ProtocolError) as exc:
        sock.close()
        raise Unreachable(f"{master.url}: {exc}") from exc
    except BaseException:
        sock.close()
        raise


def _tls(master: Master) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415  (it takes megabytes)

    try:
        context = ssl.create_default_context(cafile=master.ca)
    except OSError as exc:
        raise NotWelcome(f"{master.ca} holds no certificates: {exc}") from exc
    if not master.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _shaken_hands(sock: socket.socket, master: Master) -> WSConnection:
    """Agree on a WebSocket (RFC 6455, 4.1).

    Raises:
        NotWelcome: The master refuses, and would the next time.
        Unreachable: It refuses now.
    """
    protocol = WSConnection(ConnectionType.CLIENT)
    sock.sendall(protocol.send(master.request()))
    status, body, received = 0, b"", 0
    while received < _LARGEST_HEAD_BYTES:
        data = sock.recv(_RECEIVE_BYTES)
        received += len(data)
        protocol.receive_data(data or None)
        for event in protocol.events():
            if isinstance(event, AcceptConnection):
                return protocol
            if isinstance(event, RejectConnection):
                status = event.status_code
            elif isinstance(event, RejectData):
                body += event.data
                if event.body_finished:
                    raise _refusal(master, status, body)
        if not data:
            break
    raise _refusal(master, status, body)


def _refusal(master: Master, status: int, body: bytes) -> Exception:
    if not status:
        return Unreachable(f"{master.url} has closed the connection")
    told = "".join(filter(str.isprintable, body.decode(errors="replace")))[:_LONGEST_TOLD]
    text = f"{master.url} answers {status}: {told}"
    if status not in _FOREVER:
        return Unreachable(text)
    return NotWelcome(text, is_about_key=status in _ABOUT_KEY)


class Connection:
    """An open connection, whose socket does not block.

    Args:
        sock: The socket.
        protocol: What was agreed on it.
    """

    def __init__(self, sock: socket.socket, protocol: WSConnection) -> None:
        self._socket = sock
        self._protocol = protocol
        self._unsent = bytearray()
        self._parts: list[str] = []
        self._size = 0

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()

    @property
    def wants_to_write(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._unsent)

    def send(self, text: bytes) -> None:
        """Send a text, as far as that goes without waiting; the rest when it does.

        Raises:
            Ended: The connection is gone, or the other side takes nothing.
        """
        self._write(TextMessage(text.decode()))

    def flush(self) -> None:
        """Go on with what was not sent.

        Raises:
            Ended: The connection is gone.
        """
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except OSError as exc:
            if not _must_wait(exc):
                raise Ended(str(exc)) from exc

    def receive(self) -> Iterator[str]:
        """Yield the texts that have come whole.

        Raises:
            Ended: That was the last of them.
        """
        while (data := self._received()) is not None:
            try:
                self._protocol.receive_data(data)
                for event in self._protocol.events():
                    yield from self._take(event)
            except RemoteProtocolError as exc:
                self.close(PROTOCOL_ERROR, str(exc))
                raise Ended(f"it does not speak WebSocket: {exc}") from exc
            if not data:
                raise Ended("it was closed")

    def close(self, code: int, reason: str = "") -> None:
        """End the connection, with a goodbye if there is room for one."""
        with suppress(Ended, OSError, LocalProtocolError):
            self._write(CloseConnection(code=code, reason=reason[:100]))
        self._socket.close()

    def _received(self) -> bytes | None:
        """Return what has come; None for nothing, and no bytes for the end."""
        try:
            return self._socket.recv(_RECEIVE_BYTES)
        except OSError as exc:
            if _must_wait(exc):
                return None
            raise Ended(str(exc)) from exc

    def _take(self, event: Event) -> Iterator[str]:
        if isinstance(event, Ping):
            self._write(event.response())
        elif isinstance(event, CloseConnection):
            with suppress(Ended):
                self._write(event.response())
            raise Ended(event.reason or "the master says goodbye", event.code)
        elif isinstance(event, TextMessage):
            yield from self._take_text(event)
        elif isinstance(event, Message):
            raise Ended("it sends what is no text")

    def _take_text(self, event: TextMessage) -> Iterator[str]:
        self._size += len(event.data)
        if self._size > LARGEST_ORDER:
            self.close(TOO_LARGE)
            raise Ended(f"it sends more than {LARGEST_ORDER} bytes at a time")
        self._parts.append(event.data)
        if event.message_finished:
            text, self._parts, self._size = "".join(self._parts), [], 0
            yield text

    def _write(self, event: Event) -> None:
        try:
            self._unsent += self._protocol.send(event)
        except LocalProtocolError as exc:
            raise Ended("it was closed") from exc
        if len(self._unsent) > _MOST_UNSENT_BYTES:
            raise Ended("the master takes nothing")
        self.flush()


def _must_wait(error: OSError) -> bool:
    """Return whether a call would have had to wait; with TLS each may have to for either side."""
    if isinstance(error, BlockingIOError):
        return True
    return type(error).__name__ in {"SSLWantReadError", "SSLWantWriteError"}

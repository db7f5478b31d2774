"""A master for tests of one slave: it takes it, hears it, and is as silent or rude as asked."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import Any, Self

from kit.patience import PATIENCE_SECONDS, await_that
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError

from app.load.messages import Heartbeat, HeartbeatAck, Leave, Register, RegisterAck
from app.load.protocol import from_slave, written


class Link:
    """One connection of a slave.

    Attributes:
        request: What asked for it.
        heard: What the slave has said on it.
        ended: Whether the slave has ended it.
    """

    def __init__(self, master: FakeMaster, sock: Any) -> None:
        self._master, self._socket = master, sock
        self._protocol = WSConnection(ConnectionType.SERVER)
        self.request: Request | None = None
        self.heard: list[Any] = []
        self.ended = False
        self._lock = threading.Lock()

    def serve(self) -> None:
        with suppress(OSError):
            while data := self._socket.recv(65536):
                self._protocol.receive_data(data)
                for event in self._protocol.events():
                    self._take(event)
        self.ended = True

    def _take(self, event: Event) -> None:
        if isinstance(event, Request):
            self.request = event
            status = self._master.refuses_with
            if status is None:
                self.send(AcceptConnection())
            else:
                headers = [(b"Content-Length", b"6")]
                self.send(RejectConnection(status_code=status, headers=headers, has_body=True))
                self.send(RejectData(data=b"no way"))
        elif isinstance(event, TextMessage):
            said = from_slave(event.data)
            self.heard.append(said)
            self._answer(said)

    def _answer(self, said: Any) -> None:
        if self._master.silent:
            return
        if isinstance(said, Register):
            self.tell(self._master.answer)
        elif isinstance(said, Heartbeat):
            with suppress(LocalProtocolError):  # it was told the end of the connection meanwhile
                self.tell(HeartbeatAck(said.sequence))

    def tell(self, message: Any) -> None:
        self.send(TextMessage(written(message).decode()))

    def send(self, event: Event) -> None:
        with self._lock:
            self._socket.sendall(self._protocol.send(event))

    def say_goodbye(self, code: int) -> None:
        self.send(CloseConnection(code))

    def reset(self) -> None:
        """End the connection as the kernel does for a process that was killed."""
        linger = struct.pack("ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.shutdown(socket.SHUT_RD)
        self._socket.close()

    def of(self, type_: type) -> list[Any]:
        return [each for each in self.heard if isinstance(each, type_)]

    def await_reports(self, condition: Any) -> Any:
        """Wait for a sign of life whose reports are as asked, by the ids of tasks."""

        def found() -> Any:
            for beat in self.of(Heartbeat)[-1:]:
                reports = {each.task: each for each in beat.tasks}
                if condition(reports):
                    return [reports]
            return None

        return await_that(found, "such a report")[0]

    def await_leave(self) -> None:
        await_that(lambda: self.of(Leave), "a goodbye")


class FakeMaster:
    """Takes connections on a port of its own.

    Attributes:
        links: The connections, in their order.
        silent: Whether it answers nothing.
        refuses_with: Status with which it refuses connections.
        answer: To whoever registers.
    """

    def __init__(self, *, lease_ms: int = 5000, alone_ms: int = 60_000, tls: Any = None) -> None:
        self.links: list[Link] = []
        self.silent, self.refuses_with = False, None
        self.answer = RegisterAck(
            True, "slave-1", heartbeat_interval_ms=50, lease_ms=lease_ms, alone_ms=alone_ms
        )
        self._tls = tls
        self._listener: socket.socket | None = None
        self.port = 0
        self.listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.vanish()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def vanish(self) -> None:
        """Be killed: nothing listens any more, and what was open is reset."""
        assert self._listener is not None
        with suppress(OSError):  # it is gone already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self.links:
            with suppress(OSError):
                link.reset()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with suppress(OSError):
                    sock = self._tls.wrap_socket(sock, server_side=True) if self._tls else sock
                    link = Link(self, sock)
                    self.links.append(link)
                    threading.Thread(target=link.serve, daemon=True).start()

    def link(self, number: int = 0) -> Link:
        """Wait for a connection on which the slave has registered."""

        def registered() -> list[Link]:
            return [each for each in self.links if each.of(Register)][number : number + 1]

        return await_that(registered, f"connection {number}", PATIENCE_SECONDS)[0]

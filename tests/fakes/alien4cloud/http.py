"""HTTP itself: a listener that can go away and come back, and faults on the wire."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .faults import Fault, Faults, Kind
from .replies import Reply

Answer = Callable[[str, str, Mapping[str, str], bytes], tuple[Reply, Fault | None]]

_DROPS = (Kind.DROP_BEFORE, Kind.DROP_AFTER)
_HANGS = (Kind.HANG_BEFORE, Kind.HANG_AFTER)


class Listener:
    """Listens on one port of 127.0.0.1, for as long as it is open."""

    def __init__(self, answer: Answer, faults: Faults, port: int) -> None:
        self._answer = answer
        self._faults = faults
        self._server: _Server | None = None
        self.port = port

    def open(self) -> None:
        """Listen; the first time, on any free port if none was asked for."""
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.answer, self._server.faults = self._answer, self._faults
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.003,), daemon=True).start()

    def close(self) -> None:
        """Stop listening, and end the connections that are open."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.end_connections()
            self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    answer: Answer
    faults: Faults

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply, fault = self.server.answer(self.command, self.path, dict(self.headers), body)
        kind = fault.kind if fault else None
        if kind in _HANGS:
            self.server.faults.released.wait(60)
        if kind in _DROPS or kind in _HANGS:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(reply, kind)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle  # noqa: N815

    def _send(self, reply: Reply, kind: Kind | None) -> None:
        head = [f"HTTP/1.1 {reply.status} {self.responses.get(reply.status, ('',))[0]}"]
        head += [f"{name}: {value}" for name, value in reply.headers]
        head += [f"Content-Length: {len(reply.body)}", "", ""]
        data = "\r\n".join(head).encode("latin-1") + reply.body
        if kind is Kind.CUT:
            data = data[: len(data) - max(1, len(reply.body) // 2)]
            self.close_connection = True
        if kind is Kind.TRICKLE:
            start = len(data) - len(reply.body) + 1
            self.wfile.write(data[:start])
            for index in range(start, len(data)):
                time.sleep(0.05)
                self.wfile.write(data[index : index + 1])
        else:
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

"""A server that keeps its clients waiting, until it is let answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kit.patience import PATIENCE_SECONDS


class Held(ThreadingHTTPServer):
    """Answers when it is let.

    Attributes:
        got: The bodies of the requests, in their order.
        let: Whether to answer.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[str] = []
        self.let = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Held

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.server.got.append(self.rfile.read(length).decode())
        assert self.server.let.wait(PATIENCE_SECONDS)
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def held() -> Iterator[Held]:
    """Run such a server; at the end it answers all that wait."""
    with Held() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.let.set()
            server.shutdown()
            thread.join()

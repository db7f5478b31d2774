"""One process of a peer: ``python -m bench._peer_process KIND BODY_BYTES LISTENER_FD [STORE]``."""

from gevent import monkey

monkey.patch_all(subprocess=False)

import signal  # noqa: E402
import socket  # noqa: E402
import sqlite3  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Iterable  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import psycopg  # noqa: E402
from flask import Flask, Response  # noqa: E402
from gevent.event import Event  # noqa: E402
from sqlalchemy import make_url  # noqa: E402

from app.cli._limits import freeze_start_up  # noqa: E402
from app.cli._server import Server  # noqa: E402

_BLOCK = 64
_TABLE = "CREATE TABLE IF NOT EXISTS bench_rows (moment TEXT, content TEXT)"


class Held:
    """Holds every request until :meth:`release`, in blocks as the service itself does.

    Args:
        body: What everybody gets.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._headers = [
            ("Content-Type", "application/json"), ("Content-Length", str(len(body))),
        ]  # fmt: skip
        self._blocks: list[Event] = []
        self._room = 0

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request, as PEP 3333 says."""
        if not self._room:
            self._blocks.append(Event())
            self._room = _BLOCK
        self._room -= 1
        self._blocks[-1].wait()
        start("200 OK", self._headers)
        return [self._body]

    def release(self) -> None:
        """Answer all."""
        blocks, self._blocks, self._room = self._blocks, [], 0
        for block in blocks:
            block.set()
            gevent.sleep(0.001)


def _flask(body: bytes) -> Flask:
    app = Flask("peer")

    @app.get("/executions/x")
    def view() -> Response:
        return Response(body, content_type="application/json")

    return app


def _row(commit: Callable[[], None]) -> Flask:
    app = Flask("peer")

    @app.post("/rows")
    def view() -> Response:
        commit()
        return Response(status=201)

    return app


def _committer(url: str) -> Callable[[], None]:
    """Return what commits one row, which the disk has on return."""
    store = make_url(url)
    values = "now", "x" * 200
    if store.get_backend_name() == "sqlite":
        file = sqlite3.connect(str(store.database), isolation_level=None)
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("PRAGMA synchronous=FULL")
        file.execute(_TABLE)

        def insert() -> None:
            file.execute("INSERT INTO bench_rows VALUES (?, ?)", values)

        return insert
    address = store.set(drivername="postgresql").render_as_string(hide_password=False)
    idle = [psycopg.connect(address, autocommit=True)]
    idle[0].execute(_TABLE)

    def commit() -> None:
        connection = idle.pop() if idle else psycopg.connect(address, autocommit=True)
        connection.execute("INSERT INTO bench_rows VALUES (%s, %s)", values)
        idle.append(connection)

    return commit


def main() -> None:
    kind, size, descriptor = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    body = b"{" + b" " * (size - 2) + b"}"
    stop = Event()
    gevent.signal_handler(signal.SIGTERM, stop.set)
    held = Held(body)
    gevent.signal_handler(signal.SIGUSR1, lambda: gevent.spawn(held.release))
    if kind == "row":
        application: Any = _row(_committer(sys.argv[4]))
    else:
        application = held if kind == "held" else _flask(body)
    server = Server(socket.socket(fileno=descriptor), application)
    freeze_start_up()
    server.start()
    stop.wait()


if __name__ == "__main__":
    main()

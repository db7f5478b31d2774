"""What tests need to follow executions, well behaved and otherwise."""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self, TextIO
from urllib.parse import urlsplit

import pytest
import websocket
from kit.client import Client
from kit.definitions import script, workflow
from kit.patience import PATIENCE_SECONDS, await_that

SSE = "text/event-stream"

_RECEIVE_BYTES = 1 << 18
_MIB = 1 << 20


class Relay:
    """An execution whose only task writes to its log what the test tells it to.

    The log begins with two remarks of the engine, and ends with two.

    Args:
        client: Who launches it.
        folder: Where its pipe is made.

    Attributes:
        id: Id of the execution.
        path: Its address.
        written: Number of lines so far.
    """

    def __init__(self, client: Client, folder: Path) -> None:
        pipe = folder / "relay.fifo"
        os.mkfifo(pipe)
        self.id = client.run(workflow("relay", script("relay", f"exec cat '{pipe}'")))
        self.path = f"/executions/{self.id}"
        self.written = 0
        self._pipe: TextIO = await_that(lambda: _open_to_write(pipe), "the task reads")
        client.wait(self.id, "RUNNING")
        await_that(lambda: client.tasks(self.id)["relay"]["status"] == "RUNNING", "the task runs")
        await_that(lambda: client.page(self.id, size=0)["total_results"] == 2, "the remarks")

    def write(self, count: int, text: str = "") -> None:
        """Write lines, numbered from 0 on, each with a text behind its number."""
        begin, end = self.written, self.written + count
        self._pipe.writelines(f"{number} {text}\n" for number in range(begin, end))
        self._pipe.flush()
        self.written = end

    def end(self) -> None:
        """Let the task, and so the execution, end with success."""
        self._pipe.close()


def _open_to_write(pipe: Path) -> TextIO | None:
    """Open a named pipe, if somebody reads it."""
    try:
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as exc:
        if exc.errno != errno.ENXIO:
            raise
        return None
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "w", encoding="utf-8")


class SentEvent(NamedTuple):
    """One server-sent event."""

    event: str
    id: int | None
    data: Any


def is_log(number: int) -> Callable[[SentEvent], bool]:
    """Whether an event is the line of a relay with this number, and no text."""
    return lambda event: event.event == "log" and event.data["content"] == f"{number} "


def indices(events: Iterable[SentEvent]) -> list[int | None]:
    """The indices of the log entries among some events."""
    return [event.id for event in events if event.event == "log"]


class EventStream:
    """A client of server-sent events on a plain socket; it gives the events that come.

    Args:
        url: Where the service is.
        path: What to follow.
        receive_bytes: Size of the socket's receive buffer, for a client that is slow.
        headers: More headers, with ``_`` for ``-``.

    Attributes:
        retry_seconds: When to come back, as the service said last.
    """

    def __init__(
        self, url: str, path: str, receive_bytes: int | None = None, **headers: str
    ) -> None:
        self.retry_seconds = 0.0
        self._in_body = False
        self._rest = b""
        self._pending: deque[SentEvent] = deque()
        self.socket = connect(url, receive_bytes)
        self.socket.sendall(request(path, SSE, **headers))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def __iter__(self) -> Iterator[SentEvent]:
        while self._pending or self.receive():
            while self._pending:
                yield self._pending.popleft()

    def until(self, wanted: Callable[[SentEvent], bool]) -> list[SentEvent]:
        """Read up to the first event that is wanted, and return all with it."""
        found: list[SentEvent] = []
        for event in self:
            found.append(event)
            if wanted(event):
                return found
        raise AssertionError(f"the stream ended after {found[-3:]}")

    def read(self) -> list[SentEvent]:
        """Read to the end of the stream."""
        return list(self)

    def receive(self) -> bytes:
        """Receive what comes next; nothing at the end of the stream.

        Raises:
            ConnectionRefusedError: The service answered with something else than a stream.
        """
        new = self.socket.recv(_RECEIVE_BYTES)
        self._rest += new
        if not self._in_body and b"\r\n\r\n" in self._rest:
            head, _, self._rest = self._rest.partition(b"\r\n\r\n")
            if head.split(b" ", 2)[1] != b"200":
                raise ConnectionRefusedError(head.decode("latin-1"))
            self._in_body = True
        if self._in_body:
            whole, _, self._rest = self._rest.rpartition(b"\n\n")
            self._take(whole.decode())
        return new

    def _take(self, text: str) -> None:
        """Take in whole events; what has no data, such as a comment, is none."""
        for block in text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if "retry" in fields:
                self.retry_seconds = int(fields["retry"]) / 1000
            if "data" in fields:
                id_ = int(fields["id"]) if "id" in fields else None
                self._pending.append(SentEvent(fields["event"], id_, json.loads(fields["data"])))


class CrowdProcess:
    """Many followers of one execution in a process of their own, see ``crowd.py``.

    Args:
        url: Where the service is.
        execution: What they follow.
        streams: How many follow over server-sent events.
        polls: How many follow by long polling.
    """

    def __init__(self, url: str, execution: str, streams: int, polls: int) -> None:
        arguments = [url, f"/executions/{execution}/logs?levels=15", str(streams), str(polls)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kit.crowd", *arguments],
            cwd=Path(__file__).parents[1], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.communicate()

    def receive(self) -> Any:
        """Wait for what it says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the crowd gave up"
        return json.loads(line)


def connect(url: str, receive_bytes: int | None = None) -> socket.socket:
    """Connect to the service."""
    parts = urlsplit(url)
    connection = socket.socket()
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(PATIENCE_SECONDS)
    connection.connect((parts.hostname, parts.port))
    return connection


def web_socket(url: str, path: str) -> websocket.WebSocket:
    """Open a WebSocket."""
    return websocket.create_connection(
        url.replace("http", "ws", 1) + path, timeout=PATIENCE_SECONDS
    )


def close_frame(ws: websocket.WebSocket) -> tuple[int, bytes]:
    """Read on to the frame that closes the connection; return its code and reason."""
    opcode, data = ws.recv_data()
    while opcode != websocket.ABNF.OPCODE_CLOSE:
        opcode, data = ws.recv_data()
    return int.from_bytes(data[:2], "big"), data[2:]


def request(path: str, accept: str = "*/*", **headers: str) -> bytes:
    """Write a GET request, of HTTP/1.0, so that the body comes as it is and not in chunks."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return (
        f"GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\n"
        f"{more}\r\n"
    ).encode()


def handshake(path: str) -> bytes:
    """Write the request that opens a WebSocket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def read_all(connection: socket.socket) -> bytes:
    """Read to the end of the connection."""
    received = b""
    while new := connection.recv(_RECEIVE_BYTES):
        received += new
    return received


def vanish(connection: socket.socket) -> None:
    """Close a connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def is_stuck(connection: socket.socket) -> bool:
    """Whether the service has more to send on a connection than it can."""
    before = _unsent(connection)
    time.sleep(0.2)
    return 0 < before == _unsent(connection)


def _unsent(connection: socket.socket) -> int:
    """Bytes that wait on the other end of a local connection, as /proc/net/tcp tells."""
    ports = [connection.getpeername()[1], connection.getsockname()[1]]
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, *addresses, _, queues = line.split()[:5]
        if [int(address.partition(":")[2], 16) for address in addresses] == ports:
            return int(queues.partition(":")[0], 16)
    return 0


def sockets_of(pid: int) -> int:
    """Number of sockets that a process has open."""
    folder = Path(f"/proc/{pid}/fd")
    try:
        return sum(_is_socket(link) for link in folder.iterdir())
    except PermissionError:
        return _number_of_others(folder)


def descriptors_of(pid: int) -> int:
    """Number of descriptors that a process has open, of whatever kind."""
    folder = Path(f"/proc/{pid}/fd")
    try:
        return len(list(folder.iterdir()))
    except PermissionError:
        return _number_of_others(folder)


def _number_of_others(folder: Path) -> int:
    # The service lets nobody but root look; how many descriptors there are Linux 6.2 tells all.
    if not (number := folder.stat().st_size):
        pytest.skip("only root can count what the service has open")
    return number


def _is_socket(link: Path) -> bool:
    try:
        return str(link.readlink()).startswith("socket:")
    except FileNotFoundError:
        return False


def rss_mib(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def raise_descriptor_limit() -> None:
    """Allow this process as many open files as the system lets it have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def each_exactly_once(found: Iterable[object], total: int) -> bool:
    """Whether these are all indices of a log, in their order."""
    return list(found) == list(range(total))

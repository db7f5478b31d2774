"""A load client that is not the bottleneck.

Raw HTTP/1.1 over keep-alive sockets and one epoll, in a process of its own: an answer costs it some
10 µs, a tenth of what the leanest gevent server needs. Moments are nanoseconds of CLOCK_MONOTONIC,
which all processes of a machine share, so that what a command stamps on a line and what a client
notes can be subtracted.
"""

from __future__ import annotations

import multiprocessing
import re
import resource
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any, Self

import orjson

from bench._target import Target

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TOTAL = re.compile(rb'"total_results":(\d+)')
_RECEIVE_BYTES = 256 * 1024
_AT_ONCE = 128
_ANSWER_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer.

    Attributes:
        done_ns: When its last byte was read.
    """

    done_ns: int
    body: bytes


class Connection:
    """One keep-alive connection to a server.

    Args:
        target: What to ask for, again and again.
        start: Index of the first log entry to ask for.
    """

    __slots__ = ("_received", "_target", "_wanted", "socket", "start")

    def __init__(self, target: Target, start: int = 0) -> None:
        address = target.host, target.port
        self.socket = socket.create_connection(address, timeout=_ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.start = start
        self._target = target
        self._received = b""
        self._wanted = 0

    def ask(self) -> None:
        """Send the request."""
        self.socket.send(self._target.request(self.start))

    def receive(self) -> bytes | None:
        """Read what is there; return the body once it is complete.

        Raises:
            ConnectionError: The server hung up, or its answer is an error.
        """
        chunk = self.socket.recv(_RECEIVE_BYTES)
        if not chunk:
            raise ConnectionError("the server hung up")
        self._received += chunk
        if not self._wanted:
            head = self._received.find(b"\r\n\r\n")
            if head < 0:
                return None
            length = _LENGTH.search(self._received, 0, head)
            if length is None or not self._received.startswith(b"HTTP/1.1 2"):
                raise ConnectionError(self._received.decode("utf-8", "replace"))
            self._wanted = head + 4 + int(length[1])
        if len(self._received) < self._wanted:
            return None
        body = self._received[self._received.index(b"\r\n\r\n") + 4 :]
        self._received, self._wanted = b"", 0
        return body

    def answer(self) -> bytes:
        """Wait for the whole body of the next answer."""
        while (body := self.receive()) is None:
            pass
        return body

    def go_on(self, body: bytes) -> None:
        """Take the place behind a page of a log as the next to ask for."""
        total = _TOTAL.search(body)
        if total is not None:
            self.start = int(total[1])


Connections = dict[int, Connection]
"""By the descriptor of their socket."""


class Worker:
    """A function in a process of its own, which talks to us through a pipe.

    Args:
        function: Gets the pipe and the arguments. What it returns is sent as the last message.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_work, args=(function, other, arguments), daemon=True
        )
        self._process.start()
        other.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    @property
    def pid(self) -> int:
        """Pid of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def has_spoken(self) -> bool:
        """Whether there is a message that was not received yet."""
        return self._pipe.poll()

    def send(self, message: Any) -> None:
        """Send a message to the function."""
        self._pipe.send(message)

    def receive(self, timeout_seconds: float = _ANSWER_SECONDS) -> Any:
        """Wait for the next message of the function.

        Raises:
            RuntimeError: It failed, or took too long.
        """
        if not self._pipe.poll(timeout_seconds):
            raise RuntimeError(f"no word from a worker within {timeout_seconds:g} s")
        message = self._pipe.recv()
        if isinstance(message, Exception):
            raise RuntimeError("a worker failed") from message
        return message


def _work(function: Callable[..., Any], pipe: Pipe, arguments: Sequence[Any]) -> None:
    raise_descriptor_limit()
    try:
        pipe.send(function(pipe, *arguments))
    except (BrokenPipeError, EOFError):
        pass  # nobody wants to know any more
    except Exception as exc:  # noqa: BLE001  (it is raised again over there)
        pipe.send(exc)


def raise_descriptor_limit() -> int:
    """Allow this process as many open files as the system lets it have; return the number."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _open(port: int, paths: Sequence[str], start: int) -> tuple[select.epoll, Connections]:
    """Open a connection for each path, and send its first request."""
    epoll = select.epoll()
    connections: Connections = {}
    for number, path in enumerate(paths, start=1):
        connection = Connection(Target(port, path), start)
        connection.ask()
        connections[connection.socket.fileno()] = connection
        epoll.register(connection.socket, select.EPOLLIN)
        if number % _AT_ONCE == 0:
            time.sleep(0.05)  # the server's queue of new connections is finite
    return epoll, connections


def hold_polls(pipe: Pipe, port: int, paths: Sequence[str], start: int = 0) -> None:
    """Hold one long poll for each path, round after round.

    Says ``None`` when all are sent, then the list of answers once each has got one; whatever is
    sent to it begins the next round, which asks for what comes behind the last answers.
    """
    epoll, connections = _open(port, paths, start)
    while True:
        pipe.send(None)
        pipe.send(_one_answer_each(epoll, connections))
        pipe.recv()
        for number, connection in enumerate(connections.values(), start=1):
            connection.ask()
            epoll.register(connection.socket, select.EPOLLIN)
            if number % _AT_ONCE == 0:
                time.sleep(0.02)


def _one_answer_each(epoll: select.epoll, connections: Connections) -> list[Answer]:
    answers: list[Answer] = []
    while len(answers) < len(connections):
        ready = epoll.poll(_ANSWER_SECONDS)
        if not ready:
            raise TimeoutError(f"{len(answers)} of {len(connections)} polls were answered")
        for descriptor, _ in ready:
            connection = connections[descriptor]
            body = connection.receive()
            if body is not None:
                answers.append(Answer(time.monotonic_ns(), body))
                epoll.unregister(descriptor)  # a server that stops hangs up behind its answer
                connection.go_on(body)
    return answers


def follow_logs(pipe: Pipe, port: int, paths: Sequence[str], start: int = 0) -> list[Answer]:
    """Follow one log for each path: as soon as a poll is answered the next one is sent.

    Says ``None`` when all are sent, and gives all answers after it was sent anything.
    """
    epoll, connections = _open(port, paths, start)
    epoll.register(pipe, select.EPOLLIN)
    pipe.send(None)
    answers: list[Answer] = []
    while True:
        for descriptor, _ in epoll.poll():
            if descriptor == pipe.fileno():
                return answers
            connection = connections[descriptor]
            body = connection.receive()
            if body is not None:
                answers.append(Answer(time.monotonic_ns(), body))
                connection.go_on(body)
                connection.ask()


@dataclass(frozen=True, slots=True)
class Followed:
    """What :func:`follow_to_the_end` saw.

    Attributes:
        entries: Number of log entries, all levels.
        numbers: How many numbered lines came: 0, 1, 2, ... in their order.
        out_of_order: How many lines did not have the number that was due.
        done_ns: When the last page was read.
    """

    entries: int
    numbers: int
    out_of_order: int
    done_ns: int


def follow_to_the_end(pipe: Pipe, port: int, path: str) -> Followed:
    """Follow one log until it is complete, and check that numbered lines come without a gap."""
    connection = Connection(Target(port, path))
    entries = due = wrong = 0
    pipe.send(None)
    while True:
        connection.ask()
        page = orjson.loads(connection.answer())
        done_ns = time.monotonic_ns()
        for entry in page["logs"]:
            word = entry["content"].partition(" ")[0]
            if word.isdecimal():
                wrong += int(word) != due
                due = int(word) + 1
        entries += len(page["logs"])
        connection.start += len(page["logs"])
        if page["complete"] and connection.start >= page["total_results"]:
            return Followed(entries, due, wrong, done_ns)


def probe(_pipe: Pipe, port: int, path: str, per_second: float, seconds: float) -> list[float]:
    """Ask at a fixed rate, and return how long each answer took, in ms.

    Times count from the moment when a request was due, not from when it could be sent: a server
    that stalls is charged for all who would have come meanwhile.
    """
    connection = Connection(Target(port, path))
    took = []
    begun = time.monotonic()
    for number in range(round(per_second * seconds)):
        due = begun + number / per_second
        time.sleep(max(0.0, due - time.monotonic()))
        connection.ask()
        connection.answer()
        took.append((time.monotonic() - due) * 1000)
    return took


def in_turn(_pipe: Pipe, target: Target, connections: int, number: int) -> list[float]:
    """Send a request again and again over some connections, each when the last one was answered.

    Returns:
        How long each answer took, in ms.
    """
    epoll = select.epoll()
    open_ = {c.socket.fileno(): c for c in (Connection(target) for _ in range(connections))}
    begun: dict[int, int] = {}
    for descriptor, connection in open_.items():
        epoll.register(descriptor, select.EPOLLIN)
        begun[descriptor] = time.monotonic_ns()
        connection.ask()
    took: list[float] = []
    while len(took) < number:
        for descriptor, _ in epoll.poll(_ANSWER_SECONDS):
            if open_[descriptor].receive() is not None:
                now_ns = time.monotonic_ns()
                took.append((now_ns - begun[descriptor]) / 1e6)
                begun[descriptor] = now_ns
                open_[descriptor].ask()
    return took

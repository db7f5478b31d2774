"""Serving requests that come over the standard input; see the package."""

import os
import queue
import select
import signal
import struct
import threading
from contextlib import suppress

from app.engine.launchers.messages import pack, unpack

from .faults import Refusal, of_disk
from .programs import end_all
from .verbs import PROGRAMS, serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_BYTES = 64 * 1024 * 1024
_MOST_WAITING = 256
_THREADS = 8
"""Of each kind, so that a program that hangs holds up no look at a file."""
_IDLE_SECONDS = 3600.0
"""How long an agent stays that nobody asks for anything."""


class _Ended(Exception):
    """Somebody told this process to end."""


def main(nonce: str) -> None:
    """Serve until nobody asks any more.

    Args:
        nonce: Says that it has begun: what a login printed before is none of it.
    """
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    umask = os.umask(0o077)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    server = Server(answers, umask)
    try:
        server.say(f"\n{nonce}\n".encode())
        while True:
            head, body = unpack(lambda count: _exactly(requests, count), _MOST_BYTES)
            server.take(head, body)
    except (_Ended, EOFError, OSError, ValueError, struct.error):
        pass
    _end_once()
    os.dup2(nothing, answers)  # whoever listens sees the end; the number stays taken
    end_all()
    os._exit(0)  # threads may hang in the kernel


def _end(_number: int, _frame: "Any") -> None:
    _end_once()
    raise _Ended


def _end_once() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _exactly(fd: int, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        ready, _, _ = select.select([fd], [], [], _IDLE_SECONDS)
        chunk = os.read(fd, min(count - len(data), 1 << 20)) if ready else b""
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)


class Server:
    """Answers requests, several at the same time.

    Args:
        answers: Where to write.
        umask: Of the account.
    """

    def __init__(self, answers: int, umask: int) -> None:
        self._answers = answers
        self._umask = umask
        self._writing = threading.Lock()
        self._queues: dict[bool, queue.Queue[Any]] = {}
        for programs in (False, True):
            self._queues[programs] = queue.Queue(_MOST_WAITING)
            for _ in range(_THREADS):
                thread = threading.Thread(target=self._work, args=(self._queues[programs],))
                thread.daemon = True
                thread.start()

    def say(self, data: bytes) -> None:
        """Write something whole."""
        with self._writing:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._answers, rest) :]

    def take(self, head: "Any", body: bytes) -> None:
        """Take a request, which is answered in its turn."""
        if not isinstance(head, dict) or not isinstance(head.get("verb"), str):
            raise ValueError("no request")
        try:
            self._queues[head["verb"] in PROGRAMS].put_nowait((head, body))
        except queue.Full:
            text = "The login node has too much to do at once."
            self._answer(head, error=Refusal("unreachable", text).told())

    def _work(self, waiting: "queue.Queue[Any]") -> None:
        while True:
            head, body = waiting.get()
            self._serve(head, body)

    def _serve(self, head: "dict[str, Any]", body: bytes) -> None:
        try:
            result, data = serve(head["verb"], head.get("arguments") or {}, body, self._umask)
        except Refusal as exc:
            self._answer(head, error=exc.told())
        except OSError as exc:
            self._answer(head, error=of_disk(exc).told())
        except Exception as exc:  # noqa: BLE001 - whoever asked is told
            text = f"{type(exc).__name__}: {exc}"
            self._answer(head, error={"kind": "fault", "message": text, "detail": ""})
        else:
            self._answer(head, result=result, data=data)

    def _answer(self, head: "dict[str, Any]", data: bytes = b"", **answer: "Any") -> None:
        with suppress(OSError):  # nobody listens any more
            self.say(pack(dict(answer, id=head.get("id")), data))

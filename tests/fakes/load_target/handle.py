"""Starts a target, and asks it what it saw."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from .record import Answer, Now, Seen

_SERVER = Path(__file__).with_name("server.py")


class LoadTarget:
    """A target in a process of its own, which ends with this object or with this process.

    At addresses that :meth:`answer` was not told of it is like httpbin: ``/get``, ``/post``,
    ``/put``, ``/patch``, ``/delete`` and ``/anything`` tell what came, ``/status/<code>``,
    ``/delay/<seconds>`` and ``/redirect/<number>`` do as they say. Everywhere else it answers
    ``{}`` at once, which costs it least.

    Args:
        host: Address where it listens.
        port: TCP port; 0 for any free one.
        heads: Whether it keeps the header fields and bodies of requests, and not only their times.
        tls: Files of a certificate and its key, for HTTPS.
        within: A command that runs another one, such as in a namespace of its own.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        heads: bool = True,
        tls: tuple[Path, Path] | None = None,
        within: Sequence[str] = (),
    ) -> None:
        ours, theirs = socket.socketpair()
        theirs.set_inheritable(True)
        with theirs:
            self._process = subprocess.Popen(
                [*within, sys.executable, "-P", "-S", str(_SERVER), str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._control = Connection(ours.detach())
        self._lock = threading.Lock()
        files = None if tls is None else [str(path) for path in tls]
        self.port: int = self._ask("listen", host, port, heads, files)
        shown = f"[{host}]" if ":" in host else host
        self.host = f"{shown}:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def answer(self, path: str, *answers: Answer) -> None:
        """Say what is answered at a path, whatever the method: one after the other, the last on.

        Without any answer it is what it was at first.
        """
        self._ask("answer", path, [asdict(each) for each in answers])

    def now(self) -> Now:
        """Return how it stands."""
        return Now(*self._ask("now"))

    def counts(self) -> dict[str, int]:
        """Count the requests that came since :meth:`forget`, by path."""
        return dict(self._ask("counts"))

    def requests(self, path: str | None = None) -> list[Seen]:
        """Return the requests that came since :meth:`forget` in their order, or those at a path."""
        return [Seen(*row) for row in self._ask("requests", path)]

    def forget(self) -> None:
        """Count from nothing; what is open stays open, and is in nothing but :attr:`Now.open`."""
        self._ask("forget")

    def drop_connections(self) -> None:
        """Close all connections, also in the middle of a request."""
        self._ask("drop_connections")

    def refuse(self) -> None:
        """Listen no more, and close all connections."""
        self._ask("refuse")

    def accept(self) -> None:
        """Listen again, at the same port."""
        self._ask("accept")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop its process for a while: connections are accepted by the kernel, and nothing comes.

        What is asked of this object meanwhile waits.
        """
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def cpu_seconds(self) -> float:
        """Return the processor's time that it has taken."""
        stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))

    def close(self) -> None:
        """End it."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _ask(self, what: str, *arguments: Any) -> Any:
        with self._lock:
            self._control.send((what, arguments))
            failed, said = self._control.recv()
        if failed:
            raise RuntimeError(f"the target failed: {said}")
        return said

"""The least that a service like ours could be, on the same gevent server: what we compare with.

``held`` keeps every request until :meth:`Peer.release` and then answers with a constant body, in
plain WSGI; ``flask`` answers at once, from a bare Flask view; ``row`` commits one row to a store
before, through the bare driver, and sends no body. None reads a parameter, or knows a user.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Literal, Self

from app.cli._listener import listen
from bench._service import cpu_seconds, cpu_share

_QUIET_SHARE = 0.05


class Peer:
    """A bare server.

    Args:
        kind: What it does, see above.
        body_bytes: Size of each answer.
        processes: How many share the port.
        store: URL of the store that ``row`` writes to.

    Attributes:
        port: Where it answers, on 127.0.0.1.
    """

    def __init__(
        self,
        kind: Literal["held", "flask", "row"],
        body_bytes: int,
        *,
        processes: int = 1,
        store: str | None = None,
    ) -> None:
        listeners = [listen("127.0.0.1", 0, shared=True)]
        self.port: int = listeners[0].getsockname()[1]
        listeners += [listen("127.0.0.1", self.port, shared=True) for _ in range(processes - 1)]
        self._processes = []
        for listener in listeners:
            descriptor = listener.fileno()
            command = ["-m", "bench._peer_process", kind, str(body_bytes), str(descriptor)]
            command += [] if store is None else [store]
            self._processes.append(
                subprocess.Popen([sys.executable, *command], pass_fds=[descriptor])
            )
            listener.close()

    def __enter__(self) -> Self:
        while any(cpu_seconds([pid]) == 0 for pid in self._pids):
            time.sleep(0.05)
        self.settle()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()

    def settle(self) -> None:
        """Wait until it does nothing any more."""
        quiet = 0
        while quiet < 3:
            quiet = quiet + 1 if cpu_share(self._pids, 0.3) < _QUIET_SHARE else 0

    def release(self) -> None:
        """Have all held requests answered."""
        for process in self._processes:
            process.send_signal(signal.SIGUSR1)

    @property
    def _pids(self) -> list[int]:
        return [process.pid for process in self._processes]

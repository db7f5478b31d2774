"""A real Redis (or Valkey), on a port of its own, that can hang, refuse, and come back."""

from __future__ import annotations

import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import redis
from kit.ports import free_port
from kit.servers.processes import ServerProcess, unavailable


def _program() -> str:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return found or unavailable("redis-server was not found")


class RedisServer:
    """One server; nothing of it outlives :meth:`stop`.

    Args:
        folder: Where it keeps its log; it stores nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._program = _program()
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: ServerProcess | None = None
        self.start()

    def start(self) -> None:
        """Start it, or start it again where it was."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        options += ["--appendonly", "no", "--dir", str(self._folder)]
        self._process = ServerProcess(
            [self._program, *options], log=self._folder / "redis.log", ready=self._is_ready,
            stop_signal=signal.SIGTERM,
        )  # fmt: skip

    def stop(self) -> None:
        """End it, also where it hangs."""
        if self._process is not None:
            self.signal(signal.SIGCONT)
            self._process.stop()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP."""
        assert self._process is not None
        self._process.send(number)

    def command(self, *words: str, password: str | None = None) -> Any:
        """Run a command."""
        with redis.Redis(port=self.port, password=password) as client:
            return client.execute_command(*words)

    def _is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

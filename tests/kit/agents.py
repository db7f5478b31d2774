"""An agent of the launcher ``slurm`` as a process of this machine, spoken with over pipes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from app.engine.launchers.slurm.package import command


class PipeChannel:
    """The standard input and output of a command that runs here.

    Args:
        python: The interpreter.
        before: What the login shell does first.
        env: Its environment.
    """

    def __init__(
        self, python: str = "python3", before: str = "", env: Mapping[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            ["bash", "-c", f"{before}\n{command(python)}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=None if env is None else dict(env),
            start_new_session=True,
        )

    def write(self, data: bytes) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.process.stdin.fileno(), rest) :]

    def read(self, most: int, timeout: float) -> bytes:
        """Wait for bytes; none at the end."""
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        if not ready:
            raise TimeoutError
        return os.read(self.process.stdout.fileno(), most)

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

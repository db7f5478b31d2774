"""An agent of the launcher ``slurm`` as a process of this machine, spoken with over pipes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress

from kit.patience import PATIENCE_SECONDS

from app.engine.launchers.slurm.package import command


class PipeChannel:
    """The standard input and output of a command that runs here.

    Args:
        python: The interpreter.
        before: What the login shell does first.
        env: Its environment.
        leave_seconds: How long it may take to end by itself.
    """

    def __init__(
        self,
        python: str = "python3",
        before: str = "",
        env: Mapping[str, str] | None = None,
        leave_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._leave_seconds = leave_seconds
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this
        self.process = subprocess.Popen(
            ["bash", "-c", f"{before}\n{command(python)}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
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

    @property
    def errors(self) -> bytes:
        """What it wrote to its standard error."""
        return os.pread(self._errors.fileno(), 16384, 0)

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(self._leave_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

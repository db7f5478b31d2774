"""Starting a real server on loopback for a test, and ending exactly that one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest
from kit.patience import PATIENCE_SECONDS


def unavailable(reason: str) -> NoReturn:
    """Skip the test for want of a server; fail it where servers are required."""
    if os.environ.get("SLIPWAY_REQUIRE_SERVERS") == "1":
        pytest.fail(f"{reason}, and SLIPWAY_REQUIRE_SERVERS=1 demands it", pytrace=False)
    pytest.skip(f"{reason}: run .ci/install-servers")


def children_of(pid: int) -> list[int]:
    """Return the processes that a process began and that live."""
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            number, _, rest = status.read_text().partition(" (")
            if rest.rpartition(") ")[2].split()[1] == str(pid):
                children.append(int(number))
    return children


class ServerProcess:
    """A server that dies with the tests, even when they are killed.

    Args:
        command: Program and arguments; it must stay in the foreground.
        log: File for what it prints.
        ready: Tells whether it takes requests.
        user: Run it as this user; as the tests' own when None.
        stop_signal: What ends it in good order.
        through: A command that runs another one as its only child and waits for it, such as
            ``nsenter``: signals go to that child.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        ready: Callable[[], bool],
        stop_signal: signal.Signals,
        user: str | None = None,
        start_seconds: float = PATIENCE_SECONDS,
        through: Sequence[str] = (),
    ) -> None:
        self._name = Path(command[0]).name
        self._log = log
        self._stop_signal = stop_signal
        self._has_child = bool(through)
        guard: list[str] = []
        if setpriv := shutil.which("setpriv"):
            guard = [setpriv, "--pdeathsig", stop_signal.name.removeprefix("SIG"), *through]
            if user:
                if through:
                    guard.append(setpriv)
                guard += [f"--reuid={user}", f"--regid={user}", "--init-groups"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*guard, *command],
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait(ready, time.monotonic() + start_seconds)
        except BaseException:
            self.stop()
            raise

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended by itself."""
        if self._process.poll() is None:
            self._signal(number)

    def stop(self) -> None:
        """End the server; on return it is gone."""
        self.send(self._stop_signal)
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self._process.wait()

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process of the server itself."""
        children = children_of(self._process.pid) if self._has_child else []
        return children[0] if children else self._process.pid

    def _signal(self, number: signal.Signals) -> None:
        if not self._has_child:
            self._process.send_signal(number)
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _wait(self, ready: Callable[[], bool], deadline: float) -> None:
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace")[-2000:]
                pytest.fail(f"{self._name} did not start:\n{said}", pytrace=False)
            time.sleep(0.05)

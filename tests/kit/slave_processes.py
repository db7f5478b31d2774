"""Slaves as their users start them: ``slipway slave start`` in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kit.patience import PATIENCE_SECONDS, await_that
from kit.service import children_of, clean_environment, is_alive, slipway


class SlaveProcess:
    """One slave, with all of its processes; it can be stopped, let go on, and killed.

    Args:
        folder: Where its log is kept.
        master: URL of its master.
        name: Its id.
        options: More options of the command.
        within: A command that runs another one, such as in a namespace of its own.
    """

    def __init__(
        self,
        folder: Path,
        master: str,
        name: str,
        options: Sequence[str] = (),
        within: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self._log = name, folder / f"{name}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*within, *slipway("slave", "start", "--master", master, "--id", name, *options)],
                env=clean_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    @property
    def log(self) -> str:
        """What it wrote about itself."""
        return self._log.read_text(encoding="utf-8")

    def pids(self) -> list[int]:
        """All of its processes, its workers among them."""
        return [self._process.pid, *_below(self._process.pid)]

    def send(self, number: int) -> None:
        """Send a signal to all of its processes."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all of its processes for a while."""
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def kill(self) -> None:
        """End all of its processes at once."""
        pids = self.pids()
        self.send(signal.SIGKILL)
        self._process.wait(PATIENCE_SECONDS)
        await_that(lambda: not any(map(is_alive, pids)), "all of it is dead")

    def ask_to_end(self) -> None:
        """Send SIGTERM to it, and not to its workers, as service managers do."""
        self._process.terminate()

    def end(self) -> None:
        """Ask it to end, and see to it."""
        if self._process.poll() is None:
            self.send(signal.SIGCONT)
            self.ask_to_end()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        self.send(signal.SIGKILL)
        self._process.wait(PATIENCE_SECONDS)


def _below(pid: int) -> Iterator[int]:
    for child in children_of(pid):
        yield child
        yield from _below(child)

"""The worker processes of a slave, as its parent holds them: lines in, lines out, never waiting."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from app.backoff import Backoff
from app.load.slave.lines import LONGEST_LINE

_RECEIVE_BYTES: Final = 256 * 1024
_MOST_UNREAD_BYTES: Final = 64 * 1024 * 1024
_STEADY_SECONDS: Final = 10.0
"""What ends after so long has worked, and its failures are counted anew."""
_RESTART: Final = Backoff(first=0.05, longest=5.0)
_END_SECONDS: Final = 1.0
"""For a process to end by itself, once its input has ended."""


class WorkerEnded(Exception):
    """A process is gone, or takes nothing, and is gone now."""


class Worker:
    """One process, and the ones in its place.

    Args:
        number: Of the process, from 0.
        command: What is executed.

    Attributes:
        start_at: When the next one is to be started.
        heard_at: When it said something last, or was started.
    """

    def __init__(self, number: int, command: Sequence[str]) -> None:
        self.number = number
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._unsent = bytearray()
        self._unread = bytearray()
        self._failures = 0
        self._started_at = 0.0
        self.start_at = self.heard_at = 0.0

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Number of the process, if there is one."""
        return None if self._process is None else self._process.pid

    @property
    def output(self) -> int:
        """Descriptor that can be read from when it has said something."""
        return self._pipe("stdout")

    @property
    def input(self) -> int:
        """Descriptor that can be written to when it takes something."""
        return self._pipe("stdin")

    @property
    def wants_to_write(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._unsent)

    def start(self, now: float) -> None:
        """Start a process.

        Raises:
            WorkerEnded: It cannot be started now.
        """
        self._started_at = self.heard_at = now
        self._unsent.clear()
        self._unread.clear()
        try:
            # In a session of its own: Ctrl-C in the terminal is for the parent.
            self._process = subprocess.Popen(  # noqa: S603
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
        except OSError as exc:
            self._put_off(now)
            raise WorkerEnded(str(exc)) from exc
        for descriptor in (self.input, self.output):
            os.set_blocking(descriptor, False)

    def write(self, line: bytes) -> None:
        """Say something to it; what does not fit now goes when :meth:`flush` is called."""
        if self._process is not None:
            self._unsent += line

    def flush(self) -> None:
        """Write what it takes.

        Raises:
            WorkerEnded: It is gone, or has taken nothing for long.
        """
        try:
            while self._unsent:
                del self._unsent[: os.write(self.input, self._unsent)]
        except BlockingIOError:
            if len(self._unsent) > _MOST_UNREAD_BYTES:
                raise WorkerEnded("it takes nothing") from None
        except OSError as exc:
            raise WorkerEnded(str(exc)) from exc

    def read(self, now: float) -> Iterator[bytes]:
        """Yield the lines that it has said.

        Raises:
            WorkerEnded: Those were its last.
        """
        try:
            while data := os.read(self.output, _RECEIVE_BYTES):
                self.heard_at = now
                self._unread += data
                *lines, rest = self._unread.split(b"\n")
                self._unread = rest
                yield from map(bytes, lines)
                if len(rest) > LONGEST_LINE:
                    raise WorkerEnded("it says what has no end")
        except BlockingIOError:
            return
        raise WorkerEnded("it has ended")

    def bury(self, now: float) -> int:
        """End the process, if it runs, and plan the next; return the exit status."""
        process = self._process
        assert process is not None  # noqa: S101  (the caller's condition)
        process.kill()
        status = process.wait()
        self._forget()
        if now - self._started_at > _STEADY_SECONDS:
            self._failures = 0
        self._put_off(now)
        return status

    def end(self) -> None:
        """Have the process end with its input, by force if it must be."""
        process = self._process
        if process is None:
            return
        with suppress(OSError):
            assert process.stdin is not None  # noqa: S101  (it is a pipe)
            process.stdin.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._forget()

    def _put_off(self, now: float) -> None:
        self._failures += 1
        self.start_at = now + _RESTART.pause(self._failures)

    def _forget(self) -> None:
        assert self._process is not None  # noqa: S101  (the callers' condition)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process = None

    def _pipe(self, name: str) -> int:
        pipe = getattr(self._process, name)
        return int(pipe.fileno())

"""How a supervisor starts a process: as a program, or as a fork of a template."""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from app.files import inherited_umask

ANSWER = struct.Struct("=ii")
"""What a template answers: a pid, and an errno, one of which is 0."""
ROOM = "--room"
"""Option of a template whose value is as long as the longest command line of a fork."""
_ANSWER_SECONDS = 10.0
"""A busy machine may take seconds for a fork, and a template that is replaced shares nothing."""
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None)


class Process(Protocol):
    """A process that was started; as ``subprocess.Popen`` has it."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Return its exit status, or None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: It still runs after so many seconds.
        """

    def send_signal(self, sig: int) -> None:
        """Send a signal."""

    def terminate(self) -> None:
        """Send SIGTERM."""

    def kill(self) -> None:
        """Send SIGKILL."""


@dataclass(frozen=True)
class Start:
    """A process that is to be started.

    Attributes:
        module: What ``python -m`` would run; its ``command`` is what a fork calls.
        env: Its environment.
        descriptors: What it inherits, by the option that names it.
        options: More options, with their values.
    """

    module: str
    env: Mapping[str, str] = field(repr=False)
    descriptors: Mapping[str, int]
    options: Mapping[str, str] = field(default_factory=dict)

    def execute(self) -> Process:
        """Start a program.

        Raises:
            OSError: It cannot be started.
        """
        words = {**{name: str(fd) for name, fd in self.descriptors.items()}, **self.options}
        arguments = [word for pair in words.items() for word in pair]
        # In a session of its own: Ctrl-C in the terminal is for the supervisor to pass on.
        return subprocess.Popen(
            [sys.executable, "-P", "-m", self.module, *arguments],
            env=self.env, pass_fds=tuple(self.descriptors.values()), stdin=subprocess.DEVNULL,
            start_new_session=True, umask=inherited_umask(),
        )  # fmt: skip

    def fork_from(self, requests: socket.socket) -> Process:
        """Have a template fork a process, of which this one is the parent.

        The template reads nothing of it: environment and secrets are for the fork alone.

        Args:
            requests: Our end of the template's socket.

        Raises:
            OSError: No process could be made.
            TimeoutError: The template does not answer.
            EOFError: It is gone.
        """
        told = os.memfd_create("start", os.MFD_CLOEXEC)
        try:
            with open(told, "wb", closefd=False) as file:
                words = (self.module, dict(self.env), list(self.descriptors), dict(self.options))
                pickle.dump(words, file)
            os.lseek(told, 0, os.SEEK_SET)
            requests.settimeout(_ANSWER_SECONDS)
            with _adopting_orphans():
                socket.send_fds(requests, [b"!"], [told, *self.descriptors.values()])
                answer = requests.recv(ANSWER.size)
        finally:
            os.close(told)
        if not answer:
            raise EOFError
        pid, fault = ANSWER.unpack(answer)
        if fault:
            raise OSError(fault, os.strerror(fault))
        return Descendant(pid)


class Descendant:
    """A child of which only the number is known, used as ``subprocess.Popen`` is.

    Args:
        pid: Of a child of this process, whoever forked it.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._collect(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        if timeout is not None and self.returncode is None:
            end = os.pidfd_open(self.pid)
            try:
                ends = select.poll()  # select(2) takes no descriptor beyond 1,023
                ends.register(end, select.POLLIN)
                if not ends.poll(timeout * 1000):
                    raise subprocess.TimeoutExpired([str(self.pid)], timeout)
            finally:
                os.close(end)
        code = self._collect(0)
        assert code is not None  # noqa: S101  (it was waited for)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _collect(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Become the parent of descendants whose own parent ends: prctl(2), PR_SET_CHILD_SUBREAPER.

    Not for longer than a fork takes: what commands leave behind is not ours.
    """
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def bury_strays(known: set[int]) -> None:
    """Take note of the end of children that nobody else waits for.

    Args:
        known: Pids of those that somebody waits for.
    """
    ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        while (found := os.waitid(os.P_ALL, 0, ended)) and found.si_pid not in known:
            os.waitpid(found.si_pid, 0)
    except ChildProcessError:
        return

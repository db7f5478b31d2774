"""Setting shims upon jobs, by a fork server that is started when it is needed."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.engine.launchers.job_processes import fork_server_command, shim_command
from app.engine.launchers.shim.fork_server import ANSWER
from app.files import PRIVATE_FILE

ERRORS = "shim.err"
"""File of the job's folder for what goes wrong in a shim itself."""

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_FIRST_ANSWER_SECONDS = 10.0
"""For the first answer of a fork server, whose Python starts before."""
_ANSWER_SECONDS = 3.0
"""For each later one, which takes a millisecond or two."""
_SERVERS = 2
# The shell ends at once, so that the shim is nobody's child and becomes nobody's zombie. By itself
# it would give what it leaves in the background an empty standard input.
_DETACH = ("/bin/sh", "-c", 'exec 3<&0; "$@" <&3 3<&- &', "sh")


class _Unanswered(Exception):
    """The fork server is gone, or hangs; it may have done what it was asked for."""


class _Unable(Exception):
    """The fork server cannot begin this shim."""


@dataclass(frozen=True, slots=True)
class _Start:
    """A shim that is to be begun.

    Attributes:
        folder: An open folder, that of the job.
        errors: An open file.
    """

    command: Sequence[str]
    folder: int
    errors: int
    specification: bytes


class ShimStarter:
    """Begins shims. Instances may be shared by threads.

    A fork server that was killed, or does not answer, is replaced, and asked for the same again:
    that may begin a second shim, which finds the job taken and ends. Where no fork server does it,
    the shim is begun as a program of its own, at the cost of a start of Python.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: _ForkServer | None = None

    def warm_up(self) -> None:
        """Have a fork server started, if there was none, without waiting until it is up.

        Raises:
            OSError: It cannot be started now.
        """
        if self._server is None:
            with self._lock:
                self._server = self._server or _ForkServer()

    def start(self, folder: Path, specification: bytes) -> None:
        """Set a shim upon the job of a folder.

        Args:
            folder: Absolute path.
            specification: What the shim reads.

        Raises:
            OSError, SubprocessError: No process could be made, or the folder cannot be used.
        """
        place = os.open(folder, _FOLDER)
        try:
            errors = os.open(ERRORS, _APPEND, PRIVATE_FILE, dir_fd=place)
            try:
                self._begin(_Start(shim_command(folder), place, errors, specification))
            finally:
                os.close(errors)
        finally:
            os.close(place)

    def _begin(self, start: _Start) -> None:
        with self._lock:
            for _ in range(_SERVERS):
                try:
                    self._server = self._server or _ForkServer()
                except OSError:
                    break
                try:
                    self._server.begin(start)
                except _Unanswered:
                    self._server.close()
                    self._server = None
                except _Unable:
                    break
                else:
                    return
        _execute(start)


class _ForkServer:
    """One process of :mod:`app.engine.launchers.shim.fork_server`."""

    def __init__(self) -> None:
        # Its lifeline, too: whatever becomes of this process, the server's end of it ends.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                # In a process group of its own, and in this session: should it stand still when
                # this process ends, the kernel ends it as one of an orphaned group: setpgid(2).
                process = subprocess.Popen(  # noqa: S603 - a fixed program
                    fork_server_command(),
                    cwd="/", env=_environment(), process_group=0,
                    stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        ours.settimeout(_FIRST_ANSWER_SECONDS)  # Python starts before
        self._socket = ours
        self.close = weakref.finalize(self, _end, ours, process)

    def begin(self, start: _Start) -> None:
        """Have a shim forked.

        Raises:
            OSError: No process could be made.
            _Unable: A shim with that command line cannot be made.
            _Unanswered: It may have been forked, and may not.
        """
        command = b"\0".join(map(os.fsencode, start.command)) + b"\0"
        with _specification(start) as specification:
            files = [start.folder, specification, start.errors]
            try:
                socket.send_fds(self._socket, [command], files)
                answer = self._socket.recv(ANSWER.size)
            except OSError as exc:
                raise _Unanswered from exc
        if not answer:
            raise _Unanswered
        self._socket.settimeout(_ANSWER_SECONDS)
        _, fault = ANSWER.unpack(answer)
        if fault == errno.ENOTSUP:
            raise _Unable
        if fault:
            raise OSError(fault, os.strerror(fault))


def _end(ours: socket.socket, process: subprocess.Popen[bytes]) -> None:
    ours.close()
    process.kill()
    process.wait()


def _execute(start: _Start) -> None:
    """Begin a shim as a program of its own."""
    with _specification(start) as specification:
        subprocess.run(  # noqa: S603 - a fixed program
            (*_DETACH, *start.command),
            cwd=f"/proc/self/fd/{start.folder}",
            env=_environment(),
            stdin=specification,
            stdout=subprocess.DEVNULL,
            stderr=start.errors,
            start_new_session=True,
            check=True,
        )


@contextmanager
def _specification(start: _Start) -> Iterator[int]:
    """Make what a shim reads: a file in memory, so that no secret of it is on any disk.

    Each shim needs one of its own: two that read the same open file would share its offset.
    """
    with os.fdopen(os.memfd_create("specification"), "w+b") as memory:
        memory.write(start.specification)
        memory.seek(0)
        yield memory.fileno()


def _environment() -> dict[str, str]:
    """Return the variable that Python may need, where it comes from an environment module."""
    return {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}

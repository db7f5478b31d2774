"""Speaking with a helper that runs as another user, none of whose answers can be trusted.

The commands run as the same user. They can end the helper, stop it, or put words into its mouth, so
everything is bounded in size and time, and a helper that does not keep to it is given up.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from app.domain import JSON
from app.engine.launchers.job_records import Process, clean_text
from app.engine.launchers.messages import pack, unpack
from app.engine.launchers.shim.reading import MAX_FRAME
from app.errors import InvalidRequest, UpstreamError, UpstreamRefused, UpstreamUnreachable
from app.files import inherited_umask

HELPER = (sys.executable, "-I", "-m", "app.engine.launchers.broker")
"""Command line of the helper; it is always the same, so that a line of sudoers(5) can name it."""

_CALL_SECONDS = 30.0
"""For an answer of the helper; three of its signs of life fit in."""
_START_SECONDS = 30.0
"""For a helper to start, with what sudo does before."""
_LEAVE_SECONDS = 1.0
"""For the command that began the helper to end."""
_MAX_REPLY = 2 * 1024 * 1024 + MAX_FRAME
_MAX_DETAIL = 4096
_BROKEN = (OSError, EOFError, ValueError)
_ERRORS: Mapping[str, type[InvalidRequest | UpstreamError]] = {
    "invalid": InvalidRequest,
    "refused": UpstreamRefused,
    "unreachable": UpstreamUnreachable,
}


class NotStarted(Exception):
    """No helper could be started; the message says why, in words for an operator."""


def by_sudo(user: str) -> tuple[str, ...]:
    """Return the command that runs another one as that user: sudo(8), which must not ask."""
    return (shutil.which("sudo") or "sudo", "-n", "-u", user, "--")


class Helper:
    """One process of the other user.

    Args:
        through: Command that runs another one as that user.
        folder: Where that user's jobs are.
        hung: A helper that is to be ended, which only that user can do.

    Attributes:
        process: What it says of itself.

    Raises:
        NotStarted: It could not be started.
    """

    def __init__(self, through: Sequence[str], folder: Path, hung: Process | None = None) -> None:
        # Its lifeline, too: whatever becomes of this process, the helper's end of it ends.
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._child = subprocess.Popen(  # noqa: S603 - a fixed program
                    (*through, *HELPER), stdin=theirs.fileno(), stdout=theirs.fileno(),
                    stderr=subprocess.PIPE,
                    cwd="/", env={"PATH": os.environ.get("PATH", os.defpath)},
                    start_new_session=True,
                )  # fmt: skip
        except OSError as exc:
            self._socket.close()
            raise NotStarted(f"{through[0]} cannot be run: {exc.strerror}") from exc
        setup = {
            "folder": str(folder),
            "umask": inherited_umask(),
            "hung": hung.dump() if hung else None,
        }
        try:
            reply, _ = self._exchange(setup, _START_SECONDS)
        except _BROKEN as exc:
            reason = self._complaint() or f"it does not answer ({exc!r})"
            self.close()
            raise NotStarted(reason) from exc
        if isinstance(reply, dict) and reply.get("error"):
            self.close()
            raise NotStarted(clean_text(str(reply.get("message"))))
        self.process = Process.load(reply)
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_LEAVE_SECONDS)

    def call(self, request: JSON, seconds: float | None = None) -> tuple[JSON, bytes]:
        """Let it do something.

        Raises:
            InvalidRequest, UpstreamRefused, UpstreamUnreachable: As it says.
            RuntimeError: It has a fault of its own.
            OSError, EOFError, ValueError: It is of no use any more.
        """
        reply, body = self._exchange(request, seconds or _CALL_SECONDS)
        if isinstance(reply, dict) and (kind := reply.get("error")):
            message = clean_text(str(reply.get("message")))
            error = _ERRORS.get(kind) if isinstance(kind, str) else None
            if error is None:
                raise RuntimeError(f"the helper of the commands' user failed: {message}")
            raise error(message, detail=clean_text(str(reply.get("detail"))))
        return reply, body

    def rings(self) -> bytes:
        """Wait for what comes through the doorbell, once it listens; nothing at the end.

        It gives a sign of life every 10 s; one that is silent for longer has come to its end.
        """
        self._socket.settimeout(_CALL_SECONDS)
        with suppress(OSError):
            return self._socket.recv(65536)
        return b""

    def close(self) -> None:
        """Have no more to do with it; it ends by itself, unless it hangs."""
        self._socket.close()
        if self._child.stderr is not None:
            self._child.stderr.close()

    def _exchange(self, request: JSON, seconds: float) -> tuple[JSON, bytes]:
        until = time.monotonic() + seconds
        self._socket.settimeout(seconds)
        self._socket.sendall(pack(request))

        def read(count: int) -> bytes:
            data = bytearray()
            while len(data) < count:
                self._socket.settimeout(max(0.001, until - time.monotonic()))
                chunk = self._socket.recv(min(count - len(data), 1 << 20))
                if not chunk:
                    raise EOFError("it has ended")
                data += chunk
            return bytes(data)

        return unpack(read, _MAX_REPLY)

    def _complaint(self) -> str:
        """Return what the helper, or what should have started it, wrote to its standard error."""
        if self._child.stderr is None:
            return ""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_LEAVE_SECONDS)
        fd = self._child.stderr.fileno()
        os.set_blocking(fd, False)
        data = b""
        with suppress(BlockingIOError):
            data = os.read(fd, _MAX_DETAIL)
        return clean_text("; ".join(data.decode("utf-8", "replace").split("\n")).strip("; "))


class Link:
    """The way to a helper: started when it is needed, one for all threads, replaced when it fails.

    Args:
        through: Command that runs another one as that user.
        folder: Where that user's jobs are.
    """

    def __init__(self, through: Sequence[str], folder: Path) -> None:
        self._through = through
        self._folder = folder
        self._lock = threading.Lock()
        self._helper: Helper | None = None
        self._hung: Process | None = None

    def call(self, verb: str, **arguments: JSON) -> tuple[JSON, bytes]:
        """Let a helper do something that may be done twice.

        Raises:
            InvalidRequest, UpstreamRefused: As the launcher on the other side says.
            UpstreamUnreachable: The same, or no helper answers.
        """
        request = {"verb": verb, **arguments}
        with self._lock:
            try:
                return self._try(request)
            except EOFError:  # somebody ended it, perhaps long ago
                pass
            except _BROKEN as exc:
                raise _unreachable(repr(exc)) from exc
            try:
                return self._try(request)
            except _BROKEN as exc:
                raise _unreachable(repr(exc)) from exc

    def renew(self) -> None:
        """Have the next call done by another helper."""
        with self._lock:
            if self._helper is not None:
                self._give_up(self._helper)

    def _try(self, request: JSON) -> tuple[JSON, bytes]:
        helper = self._helper or self._start()
        try:
            return helper.call(request)
        except (BrokenPipeError, ConnectionResetError) as exc:
            self._give_up(helper)
            raise EOFError("it has ended") from exc
        except _BROKEN:
            self._give_up(helper)
            raise

    def _start(self) -> Helper:
        try:
            self._helper = Helper(self._through, self._folder, self._hung)
        except NotStarted as exc:
            raise _unreachable(str(exc)) from exc
        self._hung = None
        return self._helper

    def _give_up(self, helper: Helper) -> None:
        self._helper = None
        self._hung = helper.process
        helper.close()


def _unreachable(detail: str) -> UpstreamUnreachable:
    message = "The helper that acts as the user of the commands does not work now."
    return UpstreamUnreachable(message, detail=detail)

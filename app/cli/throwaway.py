"""A whole service for one client, of which nothing is left when the client ends, however it does.

It is for ``slipway try``, which starts this module and speaks with it by pipes. One line of JSON on
standard output tells where the service is and how to sign in, or why it did not start. When
standard input comes to its end, as it does when the client is killed, the service stops, whatever
its commands have left behind is ended, and its folder is removed.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from app.cli._process import environment_without_settings, guard_process
from app.cli._signals import catch_stop_signals
from app.removal import remove_tree

_READY: Final = re.compile(rb"ready at (http://\S+) ")
_STOP_SECONDS: Final = 10.0
"""For the service to stop by itself."""
_GRACE_SECONDS: Final = 1.0
"""For commands to end at SIGTERM, before they are killed."""
_GONE_SECONDS: Final = 10.0
"""For what was killed to be gone; what hangs in the kernel cannot be waited for."""
_LOOK_SECONDS: Final = 0.02
"""How often it is looked whether processes are gone."""
_REMOVE_SECONDS: Final = 60.0
"""For the folder to be removed."""
_TOLD_LINES: Final = 5
"""Of the service's log, where it did not start."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LIBC: Final = ctypes.CDLL(None)


def main() -> None:
    """Run a service until the client is gone."""
    guard_process()
    stopping = catch_stop_signals()
    # What a command leaves behind becomes a child of this process: prctl(2).
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        folder = Path(tempfile.mkdtemp(prefix="slipway-try-"))
    except OSError as exc:
        _tell({"fault": f"No folder can be made: {exc.strerror} ({exc.filename})"})
        return
    try:
        _serve(folder, stopping)
    except OSError as exc:  # the disk is full, or there are too many processes
        _tell({"fault": str(exc.strerror)})
    finally:
        _end_descendants()
        with suppress(OSError):  # a command may have taken our rights to a folder of its own
            remove_tree(folder, _REMOVE_SECONDS)


def _serve(folder: Path, stopping: int) -> None:
    key = secrets.token_urlsafe(32)
    log_file = folder / "service.log"
    with log_file.open("wb") as log:
        service = subprocess.Popen(
            [sys.executable, "-P", "-m", "app.cli", "serve", "--host", "127.0.0.1", "--port", "0",
             "--data-dir", str(folder / "data")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=_environment(key),
            start_new_session=True, preexec_fn=_end_with_parent,  # noqa: PLW1509  (there are no threads)
        )  # fmt: skip
    assert service.stdout is not None  # noqa: S101  (it was asked for)
    try:
        url = _await_url(service.stdout, stopping)
        if url is not None:
            _tell({"url": url, "key": key})
            _await_end(service.stdout, stopping)
        elif service.poll() is not None or not _is_over(stopping):
            _tell({"fault": _last_lines(log_file)})
    finally:
        service.terminate()
        with suppress(subprocess.TimeoutExpired):
            service.wait(_STOP_SECONDS)


def _environment(key: str) -> dict[str, str]:
    """Return the settings: those of a service that somebody really runs count for nothing.

    Whoever else is on this machine could launch commands in the name of the user without a key.
    """
    return environment_without_settings() | {
        "SLIPWAY_API__AUTH__TYPE": "api_key",
        "SLIPWAY_API__AUTH__SECRET": key,
        "SLIPWAY_WEB__PROCESSES": "1",
    }


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _await_url(told: IO[bytes], stopping: int) -> str | None:
    """Return where the service is; None where it ends, or is not wanted any more, before."""
    text = b""
    while True:
        ready, _, _ = select.select([told, sys.stdin, stopping], [], [])
        if ready != [told]:
            return None
        block = os.read(told.fileno(), 4096)
        text += block
        found = _READY.search(text)
        if found is not None:
            return found[1].decode()
        if not block:
            return None


def _await_end(told: IO[bytes], stopping: int) -> None:
    """Wait until the service has ended, or is not wanted any more."""
    while True:
        ready, _, _ = select.select([told, sys.stdin, stopping], [], [])
        if ready != [told] or not os.read(told.fileno(), 4096):
            return


def _is_over(stopping: int) -> bool:
    ready, _, _ = select.select([sys.stdin, stopping], [], [], 0)
    return bool(ready)


def _tell(document: dict[str, str]) -> None:
    with suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()


def _last_lines(log_file: Path) -> str:
    lines = log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-_TOLD_LINES:])


def _end_descendants() -> None:
    """End all that descends from this process, in whatever session it is."""
    deadline = time.monotonic() + _GRACE_SECONDS
    for pid in _descendants():
        _send(pid, signal.SIGTERM)
    while any(_descendants()) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    deadline = time.monotonic() + _GONE_SECONDS
    while (left := list(_descendants())) and time.monotonic() < deadline:
        for pid in left:
            _send(pid, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _descendants() -> Iterator[int]:
    """Return the processes that descend from this one, but for those that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with suppress(OSError):
                # proc(5): the parent is the second word behind the name, which is in brackets.
                stat = Path(entry.path, "stat").read_bytes().rpartition(b") ")[2].split()
                if stat[0] not in (b"Z", b"X"):
                    children.setdefault(int(stat[1]), []).append(int(entry.name))
    waiting = [os.getpid()]
    while waiting:
        found = children.get(waiting.pop(), [])
        yield from found
        waiting += found


if __name__ == "__main__":
    main()

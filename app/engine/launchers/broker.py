"""The helper of ``engine.run_as``: does a launcher's work as the user of the commands.

Usage: ``python -I -m app.engine.launchers.broker``, by sudo(8) and as that user. The first message
on its standard input says where that user's jobs are; each further one is a call of
:class:`app.engine.launchers.local.LocalLauncher`, and is answered on its standard output. It ends
with its standard input, that is, with the process that started it; the shims that it set upon jobs
go on. After a call of ``listen`` it does nothing but to pass rings of the doorbell on.

It leaves its parent at once: sudo would stand still for ever with a helper that somebody stopped,
and only root could end it then.
"""

from __future__ import annotations

import ctypes
import os
import select
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from signal import SIGKILL
from typing import Any

from app.domain import JSON, Usage
from app.engine.launchers.base import Job, JobState, Place, Staging
from app.engine.launchers.job_processes import notify
from app.engine.launchers.job_records import Process
from app.engine.launchers.local import LocalLauncher, open_doorbell
from app.engine.launchers.messages import pack, unpack
from app.engine.launchers.shim.records import identity
from app.engine.launchers.specification import MARKS
from app.engine.model import StreamFile
from app.errors import InvalidRequest, SlipwayError, UpstreamRefused, UpstreamUnreachable
from app.files import set_private_umask

MAX_REQUEST = 256 * 1024 * 1024
"""Bytes; definitions, inputs and what expressions make of them have narrower limits."""

_STDIN, _STDOUT = 0, 1
_RIGHTS = (os.R_OK, os.W_OK, os.X_OK)
_DOORBELL = "doorbell"
_BEAT_MILLISECONDS = 10_000
"""Longest silence, so that the other side sees that this one lives."""
_PR_SET_DUMPABLE = 4
_OF_JOB = frozenset({"prepare", "start"})
_OF_STAGING = frozenset({"stage_in", "stage_out"})
_OF_FOLDER = {
    **{verb: verb for verb in _OF_STAGING},
    **{verb: verb for verb in ("make_work_folder", "remove_folder", "refuse", "state", "usage")},
    **{verb: verb for verb in ("cancel", "end", "pause", "resume")},
    "read": "read_frames",
    "outputs": "read_outputs",
}
_KINDS: tuple[tuple[type[SlipwayError], str], ...] = (
    (InvalidRequest, "invalid"),
    (UpstreamRefused, "refused"),
    (UpstreamUnreachable, "unreachable"),
)


def main() -> None:
    """Serve one process of the service, until it ends."""
    if os.fork():
        os._exit(0)
    os.setsid()
    # What goes through here is for the command that it is meant for: prctl(2).
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    with suppress(EOFError, BrokenPipeError):
        setup, _ = unpack(_read, MAX_REQUEST)
        folder = Path(setup["folder"])
        if fault := _prepare(folder, setup):
            _write(pack({"error": "setup", "message": fault}))
            return
        _write(pack(identity()))
        launcher = LocalLauncher(folder / _DOORBELL, folder / MARKS)
        while True:
            request, _ = unpack(_read, MAX_REQUEST)
            verb = request.pop("verb")
            _write(_serve(launcher, verb, request))
            if verb == "listen":
                _pass_rings_on(folder / _DOORBELL)
                return


def _prepare(folder: Path, setup: Mapping[str, Any]) -> str:
    """Become what the launcher expects; return what is wrong with the jobs' folder, if any."""
    os.umask(setup["umask"])
    set_private_umask()  # and the one before it is that of commands
    if (hung := Process.load(setup["hung"])) is not None:
        with suppress(OSError):
            notify(hung, SIGKILL)
    try:
        status = folder.stat()
    except OSError as exc:
        return f"{folder} cannot be used by that user: {exc.strerror}"
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return f"{folder} must be a folder that belongs to that user"
    if stat.S_IMODE(status.st_mode) & 0o077:
        return f"{folder} is open to others (mode {stat.S_IMODE(status.st_mode):04o}, not 0700)"
    return ""


def _serve(launcher: LocalLauncher, verb: str, request: dict[str, Any]) -> bytes:
    try:
        result = _do(launcher, verb, request)
    except SlipwayError as exc:
        kind = next((kind for class_, kind in _KINDS if isinstance(exc, class_)), "failed")
        return pack({"error": kind, "message": exc.message, "detail": exc.detail})
    except Exception as exc:  # noqa: BLE001  (the caller shall know, and others go on)
        return pack({"error": "failed", "message": f"{verb}: {type(exc).__name__}: {exc}"})
    return pack(None, result) if isinstance(result, bytes) else pack(result)


def _do(launcher: LocalLauncher, verb: str, request: dict[str, Any]) -> Any:
    if verb == "access":
        return _access(**request)
    if verb == "listen":
        return None
    folder = Path(request.pop("folder"))
    if verb == "has_folder":
        return folder.is_dir()
    if verb in _OF_JOB:
        for name in map(str, StreamFile):
            told = request.pop(name)
            request[name] = told and Place(Path(told["folder"]), told["path"])
        job = Job(folder=folder, working_dir=Path(request.pop("working_dir")), **request)
        return getattr(launcher, verb)(job)
    if verb in _OF_STAGING:
        told = request.pop("staging")
        request["staging"] = Staging(**{**told, "folder": Path(told["folder"])})
    result = getattr(launcher, _OF_FOLDER[verb])(folder, **request)
    return asdict(result) if isinstance(result, JobState | Usage) else result


def _access(secret: Sequence[str], program: Sequence[str]) -> JSON:
    """Return what this user can read and change although it should not."""
    return {
        "readable": [path for path in secret if any(os.access(path, right) for right in _RIGHTS)],
        "writable": [path for path in program if _can_change(path)],
    }


def _can_change(path: str) -> bool:
    if not os.access(path, os.W_OK):
        return False
    status = Path(path).stat()  # a sticky folder protects what is others' in it
    return not status.st_mode & stat.S_ISVTX or status.st_uid == os.geteuid()


def _pass_rings_on(doorbell: Path) -> None:
    fd = open_doorbell(doorbell)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(_STDIN, select.POLLIN)
    while True:
        ready = {each for each, _ in poll.poll(_BEAT_MILLISECONDS)}
        if _STDIN in ready:
            return
        # An empty line is a sign of life.
        _write(os.read(fd, 65536) if ready else b"\n")


def _read(count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        chunk = os.read(_STDIN, min(count - len(data), 1 << 20))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)


def _write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(_STDOUT, rest) :]


if __name__ == "__main__":
    main()

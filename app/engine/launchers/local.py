"""Runs commands on this machine, each under a shim of its own."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

from app.domain import JSON, Usage
from app.engine.launchers.base import (
    Job,
    JobPhase,
    JobState,
    Launcher,
    LauncherCapability,
    LauncherContext,
    NoOptions,
    OutputLine,
)
from app.engine.launchers.disk import disk_errors, write_files
from app.engine.launchers.frames import read_lines
from app.engine.launchers.job_processes import (
    end,
    is_alive,
    is_elsewhere,
    is_of_this_boot,
    notify,
    remains,
)
from app.engine.launchers.job_records import (
    Claim,
    Process,
    read_claim,
    read_result,
    read_usage,
)
from app.engine.launchers.outputs import parse_outputs, read_outputs
from app.engine.launchers.shim import records
from app.engine.launchers.shim.reading import Damaged, read_frames
from app.engine.launchers.specification import MARKS, Surroundings, specification
from app.engine.launchers.starter import ERRORS, ShimStarter
from app.engine.model import StreamFile
from app.errors import UpstreamUnreachable
from app.files import PRIVATE_FILE, inherited_umask, make_private_folder, sync_folder

_START_SECONDS = 10.0
"""A shim that has not taken its job by then never will: it needs some 30 ms."""

_NEVER = 0
"""The time of a specification upon which no shim was set yet."""

_SYNCS_AT_ONCE = 3
_MAX_RING = 1024
_RESERVED = {
    *(records.SPEC, records.CLAIM, records.EXIT, records.FRAMES, records.OUTPUTS),
    *(records.CANCEL, records.PAUSE, records.USAGE, ERRORS),
}


class LocalLauncher(Launcher):
    """Starts a shim for each command and speaks with it through the job's folder.

    The conductor may be killed between any two steps of any method: every file appears at once and
    whole, the specification last of all, and the shim's claim decides which start is the one.

    Args:
        doorbell: Named pipe by which shims report that something happened; one for each process
            that listens.
        marks: Folder for the marks of captured files at absolute paths, by which later executions
            know them. Without it only later attempts of the same step do.
    """

    honours = frozenset(StreamFile)
    capabilities: ClassVar[frozenset[LauncherCapability]] = frozenset({LauncherCapability.PAUSE})

    def __init__(self, doorbell: Path | None = None, marks: Path | None = None) -> None:
        self._doorbell = doorbell and doorbell.absolute()
        self._marks = marks and marks.absolute()
        self._shims = ShimStarter()
        # Each folder waits for the disk, and none for another one.
        self._syncs = ThreadPoolExecutor(_SYNCS_AT_ONCE, "sync")

    @classmethod
    def create(cls, options: NoOptions, context: LauncherContext) -> Self:
        """Build the launcher of a service, whose doorbell is in its folder."""
        return cls(context.data_dir / "doorbell", context.data_dir / MARKS)

    @disk_errors()
    def prepare(self, job: Job) -> None:
        """Write the records of a job, the one that counts last of all."""
        folder = job.folder.absolute()
        if (folder / records.SPEC).exists():
            return
        with suppress(OSError):  # the start will tell
            self._shims.warm_up()
        # A new folder is an entry of the one above: a loss of power must not take it from there.
        synced = [self._syncs.submit(sync_folder, new) for new in make_private_folder(folder)]
        write_files(folder, job.files, _RESERVED)
        for holder in synced:
            holder.result()
        kept = {"execution_id": job.execution_id, "working_dir": str(job.working_dir.absolute())}
        # That it is there counts, and what it says is for people.
        spec = str(folder / records.SPEC)
        records.write_atomically(spec, json.dumps(kept).encode(), synced=False)
        os.utime(spec, (_NEVER, _NEVER))
        records.sync(str(folder))

    @disk_errors()
    def start(self, job: Job) -> None:
        """Set a shim upon a job, and give it the specification."""
        folder = job.folder.absolute()
        if (folder / records.CLAIM).exists():
            return
        self.prepare(job)
        # Before the shim: a start that is cut off here looks like one whose shim is on its way, and
        # is repeated when none has come.
        os.utime(folder / records.SPEC)
        self._shims.start(folder, json.dumps(self._specification(job)).encode())

    def _specification(self, job: Job) -> JSON:
        return specification(
            job,
            Surroundings(
                path_of=lambda path: str(path.absolute()),
                umask=inherited_umask(),
                doorbell=None if self._doorbell is None else str(self._doorbell),
                marks=None if self._marks is None else str(self._marks),
            ),
        )

    @disk_errors()
    def refuse(self, folder: Path, *, cancelled: bool) -> bool:
        """Take the job's claim, so that no shim can; see the contract."""
        make_private_folder(folder)
        if records.claim(str(folder), {**records.REFUSAL, "cancelled": cancelled}):
            return True
        try:
            claim = read_claim(folder)
        except Damaged:
            return False  # somebody took it, and may have begun
        return claim is not None and claim.process is None

    @disk_errors()
    def state(self, folder: Path, process: JSON = None) -> JobState:
        """Look at a job.

        A job upon which a shim was set and that no shim has taken runs, by what is known, for
        another 10 s. A job of another machine runs until it has exited: only a launcher there can
        know better, and the ``reason`` says so.
        """
        folder = folder.absolute()
        claim, fault = _claim(folder, Process.load(process))
        if claim is not None and claim.process is None:
            return JobState(JobPhase.LOST, cancelled=claim.cancelled, reason="it was never begun")
        # Whether it lives comes before the result, which a shim leaves before it ends.
        state = _unfinished(folder, claim, Process.load(process), fault)
        with suppress(Damaged):
            result = read_result(folder)
            if result is not None:
                return replace(state, phase=JobPhase.EXITED, **{**result, "lingers": False})
        if state.phase in (JobPhase.LOST, JobPhase.ABSENT):
            return replace(state, lingers=any(remains(folder)) or state.lingers)
        return replace(state, pause_asked=(folder / records.PAUSE).exists())

    @disk_errors()
    def read(self, folder: Path, offset: int, limit: int) -> tuple[list[OutputLine], int]:
        """Read whole frames: up to 64 KiB more than ``limit``, never half a frame."""
        return read_lines(folder / records.FRAMES, offset, limit)

    @disk_errors()
    def read_frames(self, folder: Path, offset: int, limit: int) -> bytes:
        """Read about as many bytes of output as :meth:`read` would, as the shim wrote them."""
        return read_frames(folder / records.FRAMES, offset, limit)

    @disk_errors()
    def outputs(self, folder: Path) -> Mapping[str, JSON]:
        """Parse the command's results; none if it wrote no file."""
        return parse_outputs(self.read_outputs(folder))

    @disk_errors()
    def read_outputs(self, folder: Path) -> bytes:
        """Read the command's results as it wrote them, up to one byte more than there may be.

        Raises:
            InvalidRequest: They are not in a file.
        """
        return read_outputs(folder / records.OUTPUTS)

    @disk_errors()
    def usage(self, folder: Path) -> Usage | None:
        """Read what the shim last measured."""
        return read_usage(folder)

    @disk_errors()
    def cancel(self, folder: Path) -> None:
        """Leave the request to end the job, and wake its shim."""
        try:
            _request(folder, records.CANCEL)
        except OSError:  # a full or broken disk takes no request, but must not keep it from its end
            if not _notify(folder, signal.SIGTERM):
                raise

    @disk_errors()
    def end(self, folder: Path, process: JSON, *, force: bool) -> None:
        """End the shim, and all else that has the job's mark."""
        end(folder.absolute(), Process.load(process), force=force)

    @disk_errors()
    def pause(self, folder: Path) -> None:
        """Leave the request to stop the job, and wake its shim."""
        _request(folder, records.PAUSE)

    @disk_errors()
    def resume(self, folder: Path) -> None:
        """Take the request to stop the job back, and wake its shim."""
        (folder / records.PAUSE).unlink(missing_ok=True)
        _notify(folder)

    @disk_errors()
    def listen(self, wake: Callable[[str], None]) -> None:
        """Answer the doorbell, in a thread that ends with the process."""
        if self._doorbell is None:
            return
        ring = partial(os.read, open_doorbell(self._doorbell), 65536)
        answering = threading.Thread(target=wake_for_each, args=(ring, wake), name="doorbell")
        answering.daemon = True
        answering.start()


def open_doorbell(path: Path) -> int:
    """Open the named pipe that shims write to, and make it, if there is none.

    Raises:
        OSError: It can be neither opened nor made.
    """
    if not path.is_fifo():
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
    # For writing as well: a pipe that has a writer never comes to its end (fifo(7)).
    return os.open(path, os.O_RDWR)


def wake_for_each(ring: Callable[[], bytes], wake: Callable[[str], None]) -> None:
    """Call ``wake`` for each execution whose id comes in, until nothing does any more.

    Args:
        ring: Waits for bytes; lines of them are ids.
        wake: What to call.
    """
    rest = b""
    while more := ring():
        *rings, rest = (rest + more).split(b"\n")
        for execution_id in filter(None, dict.fromkeys(rings)):
            wake(execution_id.decode("utf-8", "replace"))
        rest = rest[-_MAX_RING:]  # commands can write there, too


def _claim(folder: Path, seen: Process | None) -> tuple[Claim | None, str]:
    """Read who has a job, and what is wrong with that, if anything."""
    try:
        claim = read_claim(folder)
    except Damaged as exc:
        return None, str(exc)
    if seen is None or (claim is not None and claim.process in (None, seen)):
        return claim, ""
    if claim is not None:
        return None, "its records are those of another job"
    if (folder / records.SPEC).exists():
        return None, f"{records.CLAIM} was removed"
    return None, "its folder was removed"


def _unfinished(folder: Path, claim: Claim | None, seen: Process | None, fault: str) -> JobState:
    """Return what is known of a job whose result is not known."""
    process = claim.process if claim else seen
    if process is None:
        return _damaged(fault) if fault else _unclaimed(folder)
    state = JobState(JobPhase.RUNNING, node=process.hostname, process=process.dump())
    state = replace(state, started_at=claim.started_at if claim else None)
    if is_alive(process):
        return replace(state, phase=JobPhase.LOST, reason=fault, lingers=True) if fault else state
    if is_elsewhere(process) and not fault:
        reason = f"only a launcher on {process.hostname} can tell whether it still runs"
        return replace(state, reason=reason)
    if not is_elsewhere(process) and not is_of_this_boot(process):
        fault = "its machine was restarted"  # and so may have lost what was not on the disk
    return replace(state, phase=JobPhase.LOST, reason=fault or "its supervisor is gone")


def _damaged(fault: str) -> JobState:
    return JobState(JobPhase.LOST, reason=fault)


def _unclaimed(folder: Path) -> JobState:
    """Return whether a job that nobody has can be begun, or is on its way."""
    try:
        moment = (folder / records.SPEC).lstat().st_mtime
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return JobState(JobPhase.ABSENT)
    if moment == _NEVER:
        return JobState(JobPhase.PREPARED)
    # A clock that was set back makes an age negative.
    if abs(time.time() - moment) < _START_SECONDS:
        return JobState(JobPhase.RUNNING)
    if any(remains(folder)):
        return JobState(JobPhase.LOST, reason=f"{records.CLAIM} was removed")
    return JobState(JobPhase.PREPARED)


def _request(folder: Path, name: str) -> None:
    make_private_folder(folder)
    (folder / name).touch(PRIVATE_FILE)
    _notify(folder)


def _notify(folder: Path, number: int = signal.SIGUSR1) -> bool:
    """Send the shim a signal; False if none has the job. One that comes later looks by itself.

    Raises:
        UpstreamUnreachable: The job belongs to another machine.
    """
    try:
        claim = read_claim(folder)
    except Damaged:
        return False
    if claim is None or claim.process is None:
        return False
    if is_elsewhere(claim.process):
        raise UpstreamUnreachable(f"Only the launcher on {claim.process.hostname} reaches the job.")
    notify(claim.process, number)
    return True

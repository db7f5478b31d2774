"""Runs commands on this machine, each under a shim of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any, Self

from app.domain import JSON
from app.engine.launchers.base import Job, JobPhase, JobState, Launcher, OutputLine
from app.engine.launchers.frames import MAX_FRAME, parse_frames
from app.engine.launchers.outputs import MAX_OUTPUTS_BYTES, parse_outputs
from app.engine.launchers.shim import records
from app.errors import InvalidRequest, UpstreamUnreachable

_START_SECONDS = 10.0
"""A shim that has not taken its job by then never will: it needs some 30 ms."""

_ERRORS = "shim.err"
_RESERVED = {
    *("", ".", ".."),
    *(records.SPEC, records.CLAIM, records.EXIT, records.FRAMES, records.OUTPUTS),
    *(records.CANCEL, records.PAUSE, _ERRORS),
}
# The shell ends at once, so that the shim is nobody's child and becomes nobody's zombie.
_DETACH = ("/bin/sh", "-c", '"$@" &', "sh")
# The folder is imported as a package of its own: that keeps its bytecode, and -I everything else.
_SHIM = "import sys; sys.path.append(sys.argv[1]); from shim.supervisor import main; main()"


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, subprocess.SubprocessError) as exc:
        message = "The folder of the job, or the machine, cannot be used now."
        raise UpstreamUnreachable(message, detail=str(exc)) from exc


class LocalLauncher(Launcher):
    """Starts a shim for each command and speaks with it through the job's folder.

    The conductor may be killed between any two steps of any method: every file appears at once and
    whole, the specification last of all, and the shim's claim decides which start is the one.

    Args:
        doorbell: Named pipe by which shims report that something happened; one for each process
            that listens.
    """

    def __init__(self, doorbell: Path | None = None) -> None:
        self._doorbell = doorbell and doorbell.absolute()

    @classmethod
    def create(cls, data_dir: Path) -> Self:
        """Build the launcher of a service that keeps its data there."""
        return cls(data_dir / "doorbell")

    @_disk_errors()
    def start(self, job: Job) -> None:
        """Begin a job: write its records, and set a shim upon them."""
        folder = job.folder.absolute()
        if (folder / records.CLAIM).exists():
            return
        if (folder / records.SPEC).exists():
            os.utime(folder / records.SPEC)
        else:
            self._write(job, folder)
        _spawn_shim(folder)

    def _write(self, job: Job, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in job.files.items():
            if name in _RESERVED or "/" in name:
                raise InvalidRequest(f"A file of a step cannot be named '{name}'.")
            mode = 0o700 if text.startswith("#!") else 0o600
            records.write_atomically(str(folder / name), text.encode("utf-8", "replace"), mode)
        spec = {
            "argv": job.argv,
            "env": {**job.env, "SLIPWAY_OUTPUT": str(folder / records.OUTPUTS)},
            "working_dir": str(job.working_dir.absolute()),
            "timeout_seconds": job.timeout_seconds,
            "kill_grace_seconds": job.kill_grace_seconds,
            "execution_id": job.execution_id,
            "doorbell": self._doorbell and str(self._doorbell),
        }
        records.write_atomically(str(folder / records.SPEC), json.dumps(spec).encode())

    @_disk_errors()
    def state(self, folder: Path) -> JobState:
        """Look at a job.

        A job that was written down and that no shim has taken runs, by what is known, for another
        10 s, and is absent afterwards: then :meth:`start` may be called again, as at any time.
        A job of another machine, by its host name, runs until it has exited: only a launcher there
        can know better, and the ``reason`` says so.
        """
        claim = _record(folder, records.CLAIM)
        if claim is None:
            return JobState(_phase_without_claim(folder))
        alive = _alive(claim)  # before the look at the result, which a shim leaves before it ends
        result = _record(folder, records.EXIT)
        if result is not None:
            return JobState(JobPhase.EXITED, node=claim["hostname"], **result)
        running = JobState(JobPhase.RUNNING, node=claim["hostname"], started_at=claim["started_at"])
        if alive:
            return running
        if _elsewhere(claim):
            reason = f"only a launcher on {claim['hostname']} can tell whether it still runs"
            return replace(running, reason=reason)
        if claim["boot_id"] != _boot_id():
            return replace(running, phase=JobPhase.LOST, reason="its machine was restarted")
        return replace(running, phase=JobPhase.LOST, reason="its supervisor is gone")

    @_disk_errors()
    def read(self, folder: Path, offset: int, limit: int) -> tuple[list[OutputLine], int]:
        """Read whole frames: up to 64 KiB more than ``limit``, never half a frame."""
        try:
            with (folder / records.FRAMES).open("rb", buffering=0) as file:
                file.seek(offset)
                data = file.read(max(limit, MAX_FRAME))
        except FileNotFoundError:
            return [], offset
        lines, size = parse_frames(data)
        return lines, offset + size

    @_disk_errors()
    def outputs(self, folder: Path) -> Mapping[str, JSON]:
        """Parse the command's results; none if it wrote no file."""
        path = folder / records.OUTPUTS
        try:
            if path.is_file():
                with path.open("rb") as file:
                    return parse_outputs(file.read(MAX_OUTPUTS_BYTES + 1))
        except PermissionError as exc:
            raise InvalidRequest("The outputs cannot be read.") from exc
        if path.exists() or path.is_symlink():
            raise InvalidRequest("The outputs are not a regular file.")
        return {}

    @_disk_errors()
    def cancel(self, folder: Path) -> None:
        """Leave the request to end the job, and wake its shim."""
        _request(folder, records.CANCEL)

    @_disk_errors()
    def pause(self, folder: Path) -> None:
        """Leave the request to stop the job, and wake its shim."""
        _request(folder, records.PAUSE)

    @_disk_errors()
    def resume(self, folder: Path) -> None:
        """Take the request to stop the job back, and wake its shim."""
        (folder / records.PAUSE).unlink(missing_ok=True)
        _notify(folder)

    @_disk_errors()
    def listen(self, wake: Callable[[str], None]) -> None:
        """Answer the doorbell, in a thread that ends with the process."""
        if self._doorbell is None:
            return
        if not self._doorbell.is_fifo():
            self._doorbell.unlink(missing_ok=True)
            os.mkfifo(self._doorbell, 0o600)
        # For writing as well: a pipe that has a writer never comes to its end (fifo(7)).
        fd = os.open(self._doorbell, os.O_RDWR)
        Thread(target=_answer, args=(fd, wake), name="doorbell", daemon=True).start()


def _answer(doorbell: int, wake: Callable[[str], None]) -> None:
    rest = b""
    while True:
        *rings, rest = (rest + os.read(doorbell, 65536)).split(b"\n")
        for execution_id in dict.fromkeys(rings):
            wake(execution_id.decode("utf-8", "replace"))


def _spawn_shim(folder: Path) -> None:
    # Python itself may need this one, where it comes from an environment module.
    env = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    program = (sys.executable, "-I", "-S", "-c", _SHIM, str(Path(__file__).parent))
    with (folder / _ERRORS).open("ab") as errors:
        subprocess.run(  # noqa: S603 - a fixed program
            (*_DETACH, *program),
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            check=True,
        )


def _request(folder: Path, name: str) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / name).touch()
    _notify(folder)


def _notify(folder: Path) -> None:
    """Tell the shim of a request; one that has not taken its job yet looks by itself.

    Raises:
        UpstreamUnreachable: The job belongs to another machine.
    """
    claim = _record(folder, records.CLAIM)
    if claim is None:
        return
    if _elsewhere(claim):
        raise UpstreamUnreachable(f"Only the launcher on {claim['hostname']} reaches the job.")
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(claim["pid"])  # from here on the pid cannot become somebody else's
        try:
            if _alive(claim):
                signal.pidfd_send_signal(fd, signal.SIGUSR1)
        finally:
            os.close(fd)


def _record(folder: Path, name: str) -> Any:
    try:
        return json.loads((folder / name).read_bytes())
    except FileNotFoundError:
        return None


def _phase_without_claim(folder: Path) -> JobPhase:
    try:
        age_seconds = time.time() - (folder / records.SPEC).stat().st_mtime
    except FileNotFoundError:
        return JobPhase.ABSENT
    # A clock that was set back makes an age negative.
    return JobPhase.RUNNING if abs(age_seconds) < _START_SECONDS else JobPhase.ABSENT


def _elsewhere(claim: Mapping[str, Any]) -> bool:
    """Whether the job is another machine's. One that was given another name is still the same."""
    return bool(claim["hostname"] != os.uname().nodename and claim["boot_id"] != _boot_id())


def _alive(claim: Mapping[str, Any]) -> bool:
    """Whether the very process that took the job still runs, here."""
    if _elsewhere(claim) or claim["boot_id"] != _boot_id():
        return False
    try:
        fields = records.process_stat(claim["pid"])
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[19] == claim["start_time"] and fields[0] not in "ZX"


@cache
def _boot_id() -> str:
    return records.boot_id()

"""Finding and ending the processes of a job, without any help of its records."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.clock import boot_id
from app.engine.launchers.job_records import Process
from app.engine.launchers.shim import records

# The folder is imported as a package of its own: that keeps its bytecode, and -I everything else.
_SHIM = "import sys; sys.path.append(sys.argv[1]); from shim.supervisor import main; main()"
_FORK_SERVER = _SHIM.replace("supervisor", "fork_server")
_PATH_MAX = 4096  # limits.h of Linux


def shim_command(folder: Path) -> tuple[str, ...]:
    """Return the command line of a job's shim, by which the shim of a job is found."""
    launchers = str(Path(__file__).parent)
    return (sys.executable, "-I", "-S", "-c", _SHIM, launchers, str(folder))


def fork_server_command() -> tuple[str, ...]:
    """Return the command line of a fork server; its last argument reserves memory for a shim's."""
    longest = shim_command(Path("/"))
    room = sum(len(os.fsencode(part)) + 1 for part in longest) + _PATH_MAX
    return (*longest[:-3], _FORK_SERVER, longest[-2], "-" * room)


def is_alive(process: Process) -> bool:
    """Return whether the very process that took a job still runs, on this machine."""
    return process.boot_id == boot_id() and _has_started_at(process.pid, process.start_time)


def is_elsewhere(process: Process) -> bool:
    """Return whether a job is another machine's; one that was renamed is still the same."""
    return process.hostname != os.uname().nodename and not is_of_this_boot(process)


def is_of_this_boot(process: Process) -> bool:
    """Return whether the machine was not started again since."""
    return process.boot_id == boot_id()


def notify(process: Process, number: int) -> None:
    """Send a signal to the process that took a job, and surely to no other."""
    _send(process.pid, process.start_time, number)


def remains(folder: Path) -> tuple[list[int], list[int]]:
    """Find what still runs of a job, by what its shim and its commands were given at their start.

    Returns:
        The pids of its shims, and of all other processes.
    """
    shims, others = [], []
    shim = [*map(os.fsencode, shim_command(folder)[1:])]
    variable = b"SLIPWAY_OUTPUT=" + os.fsencode(folder / records.OUTPUTS)
    for pid in _pids():
        with suppress(OSError):  # it has ended, or is somebody else's
            # Behind what a fork of the fork server shows there are more zero bytes.
            command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0")
            if command.split(b"\0")[1:] == shim:
                shims.append(pid)
            elif variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                others.append(pid)
    return shims, others


def end(folder: Path, process: Process | None, *, force: bool) -> None:
    """End what still runs of a job: by its shim, which knows all of it, where there is one."""
    shims, others = remains(folder)
    if process is not None and is_alive(process) and process.pid not in shims:
        shims.append(process.pid)
    number = signal.SIGKILL if force else signal.SIGTERM
    # All of them at once: a command whose shim is killed may live on in what it has begun.
    for pid in {*shims, *others} if force or not shims else shims:
        with suppress(OSError):
            start_time = records.process_stat(pid)[19]
            _send(pid, start_time, number)
            _send(pid, start_time, signal.SIGCONT)  # what stands still cannot end


def _send(pid: int, start_time: str, number: int) -> None:
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)  # from here on the pid cannot become somebody else's
        try:
            if _has_started_at(pid, start_time):
                signal.pidfd_send_signal(fd, number)
        finally:
            os.close(fd)


def _has_started_at(pid: int, start_time: str) -> bool:
    return records.start_ticks(pid) == start_time


def _pids() -> Iterator[int]:
    return map(int, filter(str.isdecimal, os.listdir("/proc")))  # noqa: PTH208

"""The records in a job's folder, as the shim and its launcher both know them."""

# pathlib alone would add a fifth to the time that the shim takes to start.
# ruff: noqa: PTH104, PTH108, PTH116, PTH118, PTH123

import errno
import json
import os
import struct

TYPE_CHECKING = False  # typing, too, is slow to import
if TYPE_CHECKING:
    from typing import Any

SPEC, CLAIM, EXIT = "spec.json", "claim.json", "exit.json"
FRAMES, OUTPUTS = "frames", "outputs"
CANCEL, PAUSE = "cancel", "pause"
USAGE = "usage"

HEADER = struct.Struct("<BdI")
"""Of a frame: stream, seconds since the epoch, length of the payload in bytes."""
STDOUT, STDERR, REMARK = 1, 2, 3
CONTINUED = 0x10
"""Added to the stream: the payload begins within a line, whose beginning is in an earlier frame."""
USAGE_RECORD = struct.Struct("<dddd")
"""Processor seconds, processor percent, resident bytes, and the most of these; 0: not known."""

REFUSAL = {
    "pid": 0, "start_time": "", "boot_id": "", "hostname": "", "started_at": None, "refused": True,
}  # fmt: skip
"""Takes the claim of a job that never begins."""

MAX_LINE = 64 * 1024
"""Longest line, in bytes without its line feed; a longer one becomes several."""
MAX_PAYLOAD = MAX_LINE + 1
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_MAX_KERNEL_BYTES = 4096
_MOST_KERNEL_BYTES = 64 * _MAX_KERNEL_BYTES


def unrun(exit_code: int, reason: str, finished_at: "float | None" = None) -> "dict[str, Any]":
    """Return the result of a job of which nothing was run.

    Args:
        exit_code: What stands for it.
        reason: Why it was not.
        finished_at: Seconds since the epoch; None where nobody knows.
    """
    return {
        "exit_code": exit_code, "started_at": None, "finished_at": finished_at, "timed_out": False,
        "cancelled": False, "reason": reason, "fault": None, "usage": None, "losses": [],
    }  # fmt: skip


def identity() -> "dict[str, Any]":
    """Name this process so that no other is ever mistaken for it, wherever the name is read."""
    return {
        "pid": os.getpid(),
        "start_time": process_stat(os.getpid())[19],
        "boot_id": boot_id(),
        "hostname": os.uname().nodename,
    }


def claim(folder: str, record: "dict[str, Any]", name: str = CLAIM) -> bool:
    """Take the job of a folder, and have that on the disk before anything is done about it.

    Args:
        folder: The folder.
        record: Who takes it.
        name: Of the record, of which there is one at most.

    Returns:
        False if the job is taken already.

    Raises:
        OSError: The claim could not be written.
    """
    path = os.path.join(folder, name)
    temporary = _write_temporary(path, json.dumps(record).encode(), 0o600, synced=False)
    try:
        if not _name(temporary, path):
            return False
    finally:
        os.unlink(temporary)
    # After the name, so that file systems with a journal write both at once. A loss of power in
    # between leaves a damaged claim: the job counts as lost, like any claimed by an earlier boot.
    sync(path)
    sync(folder)
    return True


def _name(temporary: str, path: str) -> bool:
    """Put a file under another name, whole; return False where that is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        # A file server whose answer was lost is asked again, and finds what it did before.
        return os.stat(temporary).st_nlink > 1
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        # A file system without links: who makes the other file has the job, even if it comes no
        # further; nobody else has it then.
        try:
            os.close(os.open(f"{path}.taken", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        with open(temporary, "rb") as file:
            write_atomically(path, file.read())
    return True


def sync(path: str) -> None:
    """Have a file, or the names in a folder, on the disk: fsync(2).

    Raises:
        OSError: It could not be opened, or the disk failed.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def boot_id() -> str:
    """Return the kernel's id of this start of the machine; source: random(4)."""
    return read_kernel("/proc/sys/kernel/random/boot_id").strip()


def process_stat(pid: int) -> "list[str]":
    """Read what the kernel tells of a process: proc(5), ``/proc/[pid]/stat``.

    Returns:
        Its fields from the third on: 0 is the state, 1 the parent's pid, 2 the process group,
        and 19 the start time in clock ticks since the machine was started.

    Raises:
        OSError: There is no such process.
    """
    # The second field is the program's name in brackets, and may hold anything.
    return read_kernel(f"/proc/{pid}/stat").rpartition(")")[2].split()


def start_ticks(pid: int) -> "str | None":
    """Return when a process was started, in clock ticks of the machine; None if it has ended.

    One whose end its parent did not take note of yet has ended, too. Source: proc(5), fields 3 and
    22 of ``/proc/[pid]/stat``.
    """
    try:
        fields = process_stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def read_kernel(path: str, *, whole: bool = False) -> str:
    """Read a file that the kernel makes at each look: proc(5).

    Args:
        path: The file.
        whole: It may be longer than what comes at once.

    Raises:
        OSError: There is no such file, or what it is about has ended.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(fd, _MAX_KERNEL_BYTES)
        more = content
        while whole and more and len(content) < _MOST_KERNEL_BYTES:
            more = os.read(fd, _MAX_KERNEL_BYTES)
            content += more
        return content.decode("utf-8", "replace")
    finally:
        os.close(fd)


def write_atomically(path: str, content: bytes, mode: int = 0o600, *, synced: bool = True) -> None:
    """Write a file that nobody ever sees in part.

    Args:
        path: Its place.
        content: All of it.
        mode: Its mode, as the umask allows.
        synced: Not even after a loss of power.

    Raises:
        OSError: It could not be written.
    """
    os.rename(_write_temporary(path, content, mode, synced=synced), path)


def _write_temporary(path: str, content: bytes, mode: int, *, synced: bool = True) -> str:
    temporary = f"{path}.{os.urandom(6).hex()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        if synced:  # a name must never reach the disk before what it names
            os.fsync(fd)
    except OSError:
        os.unlink(temporary)
        raise
    finally:
        os.close(fd)
    return temporary

"""Files of the service: whole or not there at all, and for their owner only."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_PRIVATE_UMASK = 0o077
_inherited: list[int] = []


def set_private_umask() -> None:
    """Make files and folders of this process for their owner only, whatever it was started with."""
    before = os.umask(_PRIVATE_UMASK)
    if not _inherited:
        _inherited.append(before)


def inherited_umask() -> int:
    """Give the umask that this process was started with, which is also that of commands."""
    if not _inherited:
        _inherited.append(os.umask(_PRIVATE_UMASK))
        os.umask(_inherited[0])
    return _inherited[0]


def write_whole(path: Path, content: bytes, mode: int = 0o600, *, replace: bool = True) -> None:
    """Write a file that nobody ever sees in part: not after SIGKILL, a full disk, a loss of power.

    It is written under another name in the same folder, brought to the disk, and renamed.

    Args:
        path: Its place, in a folder that exists.
        content: All of it.
        mode: Its mode, whatever the umask.
        replace: Take the place of a file that is there.

    Raises:
        FileExistsError: There is one, and it is not to be replaced.
        OSError: It could not be written; there is what was there before.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if replace:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)
    finally:
        with suppress(OSError):  # it is renamed, or was never made
            temporary.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names of a folder to the disk: fsync(2)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

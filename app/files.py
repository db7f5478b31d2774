"""Files of the service: whole or not there at all, and for their owner only."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
PRIVATE_PROGRAM = 0o700
_PRIVATE_UMASK = 0o077
_inherited: list[int] = []


def set_private_umask() -> None:
    """Make files and folders of this process for their owner only, whatever it was started with."""
    before = os.umask(_PRIVATE_UMASK)
    if not _inherited:
        _inherited.append(before)


def inherited_umask() -> int:
    """Return the umask that this process was started with; commands get it, too."""
    if not _inherited:
        _inherited.append(os.umask(_PRIVATE_UMASK))
        os.umask(_inherited[0])
    return _inherited[0]


def write_whole(
    path: Path, content: bytes, mode: int = PRIVATE_FILE, *, replace: bool = True
) -> None:
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


def text_mode(text: str) -> int:
    """Return the mode of a private text file: whoever names an interpreter wants to execute it."""
    return PRIVATE_PROGRAM if text.startswith("#!") else PRIVATE_FILE


def sync_folder(folder: Path) -> None:
    """Bring the names of a folder to the disk: fsync(2)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_folder(folder: Path) -> list[Path]:
    """Make a folder, and what is missing above it, for their owner only, whatever the umask.

    Returns:
        The folders that hold a new name, the highest first. A loss of power may take it from there
        as long as they are not brought to the disk: :func:`sync_folder`.

    Raises:
        OSError: It cannot be made.
    """
    missing = []
    for each in (folder, *folder.parents):
        if each.is_dir():
            break
        missing.append(each)
    for each in reversed(missing):
        each.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    return [each.parent for each in reversed(missing)]


def make_private_file(path: Path) -> None:
    """Make an empty file for its owner only, whatever the umask, if there is none.

    Raises:
        OSError: It cannot be made.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))


def read_or_make(path: Path, make: Callable[[], str]) -> str:
    """Read a short text that is made once, and is the same for all processes of the machine.

    A file without content was begun by somebody whose disk was full, or whose machine lost its
    power, before anything could depend on it; it is made anew.

    Args:
        path: The file; its folder is made, too.
        make: Makes the text, if there is none yet.

    Raises:
        OSError: It can be neither read nor made.
        UnicodeDecodeError: It is not ASCII.
    """
    if text := text_of(path):
        return text
    make_private_folder(path.parent)
    with _alone(path.parent):
        text = text_of(path) or make()
        write_whole(path, f"{text}\n".encode("ascii"))
    return text


def data_mark(data_dir: Path) -> str:
    """Read the mark that tells a data folder from all others; it belongs to a backup of it.

    Raises:
        OSError, UnicodeDecodeError: It can be neither read nor made.
    """
    return read_or_make(data_dir / "node-id", lambda: uuid.uuid4().hex[:12])


def text_of(path: Path) -> str:
    """Return a short text, such as a mark or a state; empty if there is no such file.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is not ASCII.
    """
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for the same out, until the end of the block: flock(2)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""Reading what lies in a job's folder, whatever somebody made of it.

The shim itself does without; its launchers read with this, here and on the machines of clusters.
"""

# It runs where pathlib is not loaded.
# ruff: noqa: PTH114, PTH119

import errno
import os
import stat

from .records import HEADER, MAX_PAYLOAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    AnyPath: TypeAlias = "str | os.PathLike[str]"

GONE = {errno.ENOENT, errno.ENOTDIR}
"""Errors of opening what is not there."""
UNFIT = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENAMETOOLONG}
"""Errors of opening what is there and is of no use; all others are the disk's."""

MAX_RECORD_BYTES = 64 * 1024
MAX_OUTPUTS_BYTES = 1024 * 1024
MAX_FRAME = HEADER.size + MAX_PAYLOAD


class Damaged(Exception):
    """A record is there, and does not say what it should."""


def open_regular(path: "AnyPath", *, follow: bool = False) -> "int | None":
    """Open a file for reading, without waiting for anything; None if it is not there.

    Args:
        path: The file.
        follow: It may be a symbolic link.

    Raises:
        Damaged: It is no regular file, or cannot be opened.
        OSError: The disk cannot be used now.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    name = os.path.basename(path)
    try:
        fd = os.open(path, flags)
    except OSError as exc:
        if exc.errno in GONE:
            return None
        if exc.errno in UNFIT:
            raise Damaged(f"{name} cannot be read: {exc.strerror}") from exc
        raise
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise Damaged(f"{name} is not a file any more")


def read_record(path: "AnyPath") -> "bytes | None":
    """Read a small file; None if it is not there. One that is too large comes cut, and longer.

    Raises:
        Damaged: It is no regular file, or cannot be opened.
        OSError: The disk cannot be used now.
    """
    fd = open_regular(path)
    if fd is None:
        return None
    with os.fdopen(fd, "rb") as file:
        return file.read(MAX_RECORD_BYTES + 1)


def read_frames(path: "AnyPath", offset: int, limit: int) -> bytes:
    """Read frames from a file that may be missing, or be replaced by something else.

    Args:
        path: The file.
        offset: Where to begin.
        limit: About so many bytes at most, but always so many that a whole frame is among them.

    Raises:
        OSError: The disk cannot be used now.
    """
    try:
        fd = open_regular(path)
    except Damaged:
        fd = None
    if fd is None:
        return b""
    with os.fdopen(fd, "rb", buffering=0) as file:
        file.seek(offset)
        return file.read(max(limit, MAX_FRAME)) or b""


def whole_frames(data: bytes) -> int:
    """Return how many of the bytes are whole frames."""
    offset = 0
    while offset + HEADER.size <= len(data):
        end = offset + HEADER.size + int(HEADER.unpack_from(data, offset)[2])
        if end > len(data):
            break
        offset = end
    return offset


def read_results(path: "AnyPath") -> bytes:
    """Read what a command wrote as its results, up to one byte more than there may be.

    Raises:
        Damaged: They are not in a file.
        OSError: The disk cannot be used now.
    """
    fd = open_regular(path, follow=True)
    if fd is not None:
        with os.fdopen(fd, "rb") as file:
            return file.read(MAX_OUTPUTS_BYTES + 1)
    if os.path.islink(path):
        raise Damaged(f"{os.path.basename(path)} is a symbolic link that leads nowhere")
    return b""

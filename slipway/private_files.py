"""Files that nobody but their owner may read, and that several programs change at the same time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_LOCK_SECONDS: Final = 30.0
"""Longest wait for another program that changes the same file."""
_LOCK_POLL_SECONDS: Final = 0.05
"""Time between two looks at the lock of another program."""


def private_folder(folder: Path) -> None:
    """See to it that a folder is there, and is its owner's alone.

    Raises:
        OSError: It cannot be made, or belongs to somebody else.
    """
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(_FOLDER_MODE)


def write_private(path: Path, text: str) -> None:
    """Write a file (0600) into a folder that is its owner's alone; see :func:`write_whole`.

    Raises:
        OSError: It cannot be written.
    """
    private_folder(path.parent)
    write_whole(path, text.encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file (0600), which is there as a whole or as it was before.

    A symbolic link stays one: what it leads to is written, and the folder there stays as it is.

    Raises:
        OSError: It cannot be written.
    """
    path = path.resolve()
    made = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file; it is free again when this program ends, however it does.

    Args:
        path: The file; the lock is one of its own beside it.

    Raises:
        OSError: The lock cannot be made, or another program does not give it back.
    """
    try:
        import fcntl  # noqa: PLC0415  (not on all systems)
    except ImportError:
        yield
        return
    private_folder(path.parent)
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, _FILE_MODE)
    try:
        ends_at = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends_at:
                    raise TimeoutError(f"Another program holds {path}.lock.") from None
                time.sleep(_LOCK_POLL_SECONDS)
        yield
    finally:
        with suppress(OSError):
            os.close(descriptor)

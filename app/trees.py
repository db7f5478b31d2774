"""Folders with all that is in them: removing one, and what it takes up, each in bounded time."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWN: Final = 0o700
_MOST_OPEN: Final = 64
"""How deep folders are looked through; what lies deeper is not counted."""


@dataclass(slots=True)
class Size:
    """What files take up.

    Attributes:
        bytes_: Bytes on the disk, as stat(2) counts them in blocks.
        whole: All was counted.
    """

    bytes_: int = 0
    whole: bool = True


def remove_tree(folder: Path, seconds: float) -> bool:
    """Remove a folder with all that is in it; idempotent, and no symbolic link is followed.

    Whatever is deep is moved up, folder by folder, before it is removed: so there is no depth, and
    no length of paths, at which it fails.

    Args:
        folder: The folder; a link, or a file, in its place is removed itself.
        seconds: How long it may take, about.

    Returns:
        False when the time was over before.

    Raises:
        OSError: Something in it cannot be removed.
    """
    deadline = time.monotonic() + seconds
    try:
        with _opened(folder.name, _parent(folder)) as top:
            if not _emptied(top, deadline):
                return False
        folder.rmdir()
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        folder.unlink(missing_ok=True)
    return True


def measure_tree(
    folder: Path, seconds: float, is_apart: Callable[[str], bool] = lambda _: False
) -> tuple[Size, Size]:
    """Measure what the files below a folder take up; what vanishes meanwhile is left out.

    Args:
        folder: The folder.
        seconds: How long it may take, about.
        is_apart: Whether a file of this name is counted apart.

    Returns:
        What the files take up, and what those take up that are counted apart.
    """
    deadline = time.monotonic() + seconds
    found, apart = Size(), Size()
    waiting = [(str(folder), 0)]
    while waiting:
        path, depth = waiting.pop()
        try:
            entries = os.scandir(path)
        except OSError:  # it vanished, or is not ours to read
            continue
        with entries:
            for entry in entries:
                if time.monotonic() > deadline:
                    found.whole = apart.whole = False
                    return found, apart
                _count(entry, found, apart if is_apart(entry.name) else found)
                if entry.is_dir(follow_symlinks=False) and depth < _MOST_OPEN:
                    waiting.append((entry.path, depth + 1))
    return found, apart


def _count(entry: os.DirEntry[str], found: Size, size: Size) -> None:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return
    (found if stat.S_ISDIR(status.st_mode) else size).bytes_ += status.st_blocks * 512


def _parent(folder: Path) -> int:
    return os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


@contextmanager
def _opened(name: str, parent: int) -> Iterator[int]:
    """Open a folder below another one, which is closed with it; its owner may change it then."""
    try:
        if stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            os.chmod(name, _OWN, dir_fd=parent)
        opened = os.open(name, _FOLDER, dir_fd=parent)
    finally:
        os.close(parent)
    try:
        yield opened
    finally:
        os.close(opened)


def _emptied(top: int, deadline: float) -> bool:
    """Remove all that is in an open folder; return False when the time was over before."""
    number = 0
    while names := _without_files(top, deadline):
        for name in names:
            with _opened(name, os.dup(top)) as folder:
                below = _without_files(folder, deadline)
                if below is None:
                    return False
                for each in below:
                    number += 1
                    os.chmod(each, _OWN, dir_fd=folder)  # its entry .. changes, too
                    moved = f"{number}.{os.urandom(6).hex()}"
                    os.rename(each, moved, src_dir_fd=folder, dst_dir_fd=top)
            os.rmdir(name, dir_fd=top)
    return names is not None


def _without_files(folder: int, deadline: float) -> list[str] | None:
    """Remove the files of an open folder; return its folders, or None when the time was over."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if time.monotonic() > deadline:
                return None
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=folder)
    return folders

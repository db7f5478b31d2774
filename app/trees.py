"""What a folder takes up with all that is in it, measured in bounded time."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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

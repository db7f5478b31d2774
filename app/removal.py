"""Removing folders with all that is in them.

It is sent to clusters, too, so that Python 3.6 must understand it.
"""

import os
import stat
import time
from contextlib import suppress

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWN = 0o700


def remove_tree(path: "os.PathLike[str] | str", seconds: float) -> bool:
    """Remove a folder with all that is in it; idempotent, and no symbolic link is followed.

    Whatever is deep is moved up, folder by folder, before it is removed: so there is no depth, and
    no length of paths, at which it fails.

    Args:
        path: The folder; a link, or a file, in its place is removed itself.
        seconds: How long it may take, about.

    Returns:
        False when the time was over before.

    Raises:
        OSError: Something in it cannot be removed.
    """
    until = time.monotonic() + seconds
    try:
        top = _entered(path, None)
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        with suppress(FileNotFoundError):
            os.unlink(path)
        return True
    try:
        if not _emptied(top, until):
            return False
    finally:
        os.close(top)
    with suppress(FileNotFoundError):
        os.rmdir(path)
    return True


def _entered(name: "os.PathLike[str] | str", within: "int | None") -> int:
    """Open a folder, whose owner may change it then."""
    if stat.S_ISDIR(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode):
        os.chmod(name, _OWN, dir_fd=within)
    return os.open(name, _FOLDER, dir_fd=within)


def _emptied(top: int, until: float) -> bool:
    """Remove all that is in an open folder; return False when the time was over before."""
    number = 0
    folders = _without_files(top, until)
    while folders:
        for name in folders:
            within = _entered(name, top)
            try:
                below = _without_files(within, until)
                if below is None:
                    return False
                for each in below:
                    number += 1
                    os.chmod(each, _OWN, dir_fd=within)  # its entry .. changes, too
                    moved = f"{number}.{os.urandom(6).hex()}"
                    os.rename(each, moved, src_dir_fd=within, dst_dir_fd=top)
            finally:
                os.close(within)
            os.rmdir(name, dir_fd=top)
        folders = _without_files(top, until)
    return folders is not None


def _without_files(folder: int, until: float) -> "list[str] | None":
    """Remove the files of an open folder; return its folders, or None when the time was over."""
    folders = []
    for name in os.listdir(folder):
        if time.monotonic() > until:
            return None
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            folders.append(name)
        else:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
    return folders

"""Folders and files of an account, whatever its commands make of them meanwhile."""

import os
import stat
from contextlib import contextmanager, suppress

from app.engine.launchers.shim.records import sync, write_atomically

from .faults import Refusal, is_private_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE = 0o700


def make_folder(path: str) -> None:
    """Make a folder for its owner only, and what is missing above it, and have it on the disk.

    Raises:
        OSError: It cannot be made.
    """
    missing = []
    each = path
    while not os.path.isdir(each):
        missing.append(each)
        above = os.path.dirname(each)
        if above == each:
            break
        each = above
    for each in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(each, _PRIVATE)
        with suppress(OSError):  # some file systems bring no folder to the disk
            sync(os.path.dirname(each))
    if not os.path.isdir(path):
        raise NotADirectoryError(20, "Not a directory", path)


def write_files(folder: str, files: "dict[str, str]", reserved: "set[str]") -> None:
    """Write the files of a job, each at once and whole; scripts may be executed.

    Raises:
        Refusal: A file has a name that it cannot have.
        OSError: The disk cannot be used now.
    """
    for name, text in files.items():
        if not is_private_name(name) or name in reserved:
            raise Refusal("invalid", f"A file of a step cannot be named '{name}'.")
        write_text(os.path.join(folder, name), text)


def write_text(path: str, text: str) -> None:
    """Write a text, whole; one that names an interpreter may be executed.

    Raises:
        OSError: It could not be written.
    """
    mode = 0o700 if text.startswith("#!") else 0o600
    write_atomically(path, text.encode("utf-8", "replace"), mode)


def names_in(folder: str) -> "list[str] | None":
    """List a folder; None where there is none. It makes a file server be asked anew.

    Raises:
        OSError: It cannot be listed now.
    """
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextmanager
def opened(folder: str, path: str) -> "Iterator[int]":
    """Open a regular file below a folder, for reading; no symbolic link is followed.

    Raises:
        Refusal: It is not there, or is none, or lies elsewhere.
    """
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts:
        raise Refusal("invalid", f"'{path}' is not a path below the folder of the execution.")
    within = _open(folder, _FOLDER, None, path)
    try:
        for part in filter(None, parts[:-1]):
            below = _open(part, _FOLDER, within, path)
            os.close(within)
            within = below
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = _open(parts[-1], flags, within, path)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise Refusal("invalid", f"'{path}' is not a regular file.")
            yield file
        finally:
            os.close(file)
    finally:
        os.close(within)


def _open(name: str, flags: int, within: "int | None", path: str) -> int:
    try:
        return os.open(name, flags, dir_fd=within)
    except (FileNotFoundError, NotADirectoryError) as exc:
        with suppress(OSError):
            if stat.S_ISLNK(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode):
                raise _link(path) from exc
        raise Refusal("invalid", f"'{path}' is not there.") from exc
    except OSError as exc:
        with suppress(OSError):
            if stat.S_ISLNK(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode):
                raise _link(path) from exc
        raise Refusal("invalid", f"'{path}' cannot be used: {exc.strerror}.") from exc


def _link(path: str) -> Refusal:
    return Refusal("invalid", f"'{path}' is, or lies behind, a symbolic link.")

"""Files of a step that its launcher moves: into where the job runs, and back from there.

Paths are below a folder and stay there, whatever commands make of the folder meanwhile: each part
is opened below the one before it, and none may be a symbolic link (openat(2), ``O_NOFOLLOW``).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

from app.engine.launchers.disk import disk_errors
from app.engine.launchers.shim.reading import GONE, UNFIT
from app.errors import InvalidRequest
from app.files import PRIVATE_FOLDER, make_private_folder, sync_folder

MAX_STAGED_BYTES: Final = 64 * 1024 * 1024
"""Bytes of all files of a job, in each direction; what is larger stays where the jobs run."""

_CHUNK_BYTES = 1024 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@disk_errors()
def check_files(folder: Path, paths: Sequence[str]) -> None:
    """Make sure that files are there, where they need not be moved.

    Args:
        folder: What the paths are below.
        paths: The files.

    Raises:
        InvalidRequest: One is missing, is no regular file, or lies behind a symbolic link; or
            together they exceed :data:`MAX_STAGED_BYTES`.
        UpstreamUnreachable: The disk cannot be used now.
    """
    left = MAX_STAGED_BYTES
    for path in paths:
        with _opened(folder, path) as file:
            left = _take(left, os.fstat(file).st_size)


@disk_errors()
def copy_files(source: Path, target: Path, paths: Sequence[str]) -> None:
    """Copy files, each whole or not at all, in the place of those that are there; idempotent.

    On return the disk has them, and their names.

    Args:
        source: What the paths are below.
        target: What they are below afterwards; made if it is missing, as are folders below it.
        paths: The files.

    Raises:
        InvalidRequest: As :func:`check_files`; or there can be no such file below ``target``.
        UpstreamUnreachable: The disk cannot be used now.
        UpstreamRefused: There can be no such folder.
    """
    left = MAX_STAGED_BYTES
    for holder in make_private_folder(target):
        sync_folder(holder)
    for path in paths:
        with _opened(source, path) as file, _parent(target, path, make=True) as (parent, name):
            left = _copy(file, parent, name, path, left)


def _copy(file: int, parent: int, name: str, path: str, left: int) -> int:
    """Copy one file into an open folder; return how many bytes others may still have."""
    temporary = f".{os.urandom(6).hex()}.part"
    mode = stat.S_IMODE(os.fstat(file).st_mode) & 0o777
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        copy = os.open(temporary, flags, mode, dir_fd=parent)
        try:
            while chunk := os.read(file, _CHUNK_BYTES):
                left = _take(left, len(chunk))
                while chunk:
                    chunk = chunk[os.write(copy, chunk) :]
            os.fsync(copy)
        finally:
            os.close(copy)
        try:
            os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError as exc:
            _refuse(exc, path)
        os.fsync(parent)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=parent)
    return left


def _take(left: int, size: int) -> int:
    if size > left:
        limit = MAX_STAGED_BYTES // 2**20
        raise InvalidRequest(f"The files of a step may have {limit} MiB together, and exceed that.")
    return left - size


@contextmanager
def _opened(folder: Path, path: str) -> Iterator[int]:
    """Open a regular file for reading, without waiting for anything."""
    with _parent(folder, path) as (parent, name):
        try:
            file = os.open(name, _FILE, dir_fd=parent)
        except OSError as exc:
            _refuse(exc, path)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise InvalidRequest(f"'{path}' is not a regular file.")
            yield file
        finally:
            os.close(file)


@contextmanager
def _parent(folder: Path, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder of a file; yield it, and the name of the file within."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise InvalidRequest(f"'{path}' is not a path below the folder of the execution.")
    try:
        within = os.open(folder, _FOLDER)
    except OSError as exc:
        _refuse(exc, path)
    try:
        for part in parts[:-1]:
            below = _step_into(within, part, path, make=make)
            os.close(within)
            within = below
        yield within, parts[-1]
    finally:
        os.close(within)


def _step_into(within: int, part: str, path: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(part, PRIVATE_FOLDER, dir_fd=within)
        os.fsync(within)
    try:
        return os.open(part, _FOLDER, dir_fd=within)
    except OSError as exc:
        with suppress(OSError):
            if stat.S_ISLNK(os.stat(part, dir_fd=within, follow_symlinks=False).st_mode):
                exc.errno = errno.ELOOP
        _refuse(exc, path)


def _refuse(exc: OSError, path: str) -> NoReturn:
    """Say what is wrong with a path, where that is not the disk's fault.

    Raises:
        InvalidRequest: It is the path's.
        OSError: It is the disk's.
    """
    if exc.errno == errno.ELOOP:
        raise InvalidRequest(f"'{path}' is, or lies behind, a symbolic link.") from exc
    if exc.errno in GONE:
        raise InvalidRequest(f"'{path}' is not there.") from exc
    if exc.errno in UNFIT:
        raise InvalidRequest(f"'{path}' cannot be used: {os.strerror(exc.errno)}.") from exc
    raise exc

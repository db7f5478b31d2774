"""Files that the shim writes for a command where its definition says, outside the job's folder.

Users write there, too, so nothing is taken on trust: each part of a path is opened below the one
before it, none may be a symbolic link (openat(2), ``O_NOFOLLOW``), and no file that is there is
ever opened for writing. A new one takes its place. Whoever still writes to the old one, such as
another run, writes to what has no name any more.
"""

# pathlib alone would add a fifth to the time that the shim takes to start.
# ruff: noqa: PTH108

import errno
import math
import os
import stat
from contextlib import suppress

from .records import MAX_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
_TRIES = 100
"""How often a name is freed that another one takes again at once."""
_CHUNK_BYTES = 1 << 20


class Place:
    """The place of a file: an open folder, and a name in it.

    Args:
        folder: What exists; the way there may lead over links, for the service chose it.
        path: The file below it. Missing folders on the way are made, for their owner only.

    Attributes:
        path: All of it, for people.

    Raises:
        OSError: There can be no such file; ``strerror`` says why, for the definition's author.
    """

    def __init__(self, folder: str, path: str) -> None:
        self.path = f"{folder.rstrip('/')}/{path}"
        *parents, self._name = path.split("/")
        self._folder = os.open(folder, _FOLDER)
        for parent in parents:
            below = _step_into(self._folder, parent)
            os.close(self._folder)
            self._folder = below

    def create(self) -> int:
        """Make an empty file, for its owner only, in the place of one that is there.

        Returns:
            The file, open for reading and for appending.

        Raises:
            OSError: There is something else than a regular file, or none can be made.
        """
        for _ in range(_TRIES):
            status = self.status()
            if status is not None and not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EEXIST, _kind(status.st_mode))
            with suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=self._folder)
            with suppress(FileExistsError):
                return os.open(self._name, _NEW, _PRIVATE_FILE, dir_fd=self._folder)
        raise OSError(errno.EEXIST, "others make it again and again")

    def status(self) -> "os.stat_result | None":
        """Return what the kernel knows of what is there, without following it; None if nothing."""
        try:
            return os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def sync(self) -> None:
        """Have the name on the disk, where its folder can be read."""
        with suppress(OSError):
            folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._folder)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def write_aside(self, source: int) -> str:
        """Copy a file to another name of the folder, on the disk.

        Args:
            source: The open file.

        Returns:
            The other name.

        Raises:
            OSError: It could not be copied; nothing is left of it.
        """
        name = _unused_name()
        copy = os.open(name, _NEW, _PRIVATE_FILE, dir_fd=self._folder)
        try:
            offset = 0
            chunk = os.pread(source, _CHUNK_BYTES, offset)
            while chunk:
                offset += len(chunk)
                while chunk:
                    chunk = chunk[os.write(copy, chunk) :]
                chunk = os.pread(source, _CHUNK_BYTES, offset)
            os.fsync(copy)
        except OSError:
            self.remove(name)
            raise
        finally:
            os.close(copy)
        return name

    def name_it(self, name: str) -> bool:
        """Name the file that has another name of the folder this, too.

        Returns:
            False if the name is taken.
        """
        try:
            os.link(
                name, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder,
                follow_symlinks=False,
            )  # fmt: skip
        except FileExistsError:
            return False
        return True

    def take_aside(self) -> str:
        """Rename what is there, whatever it is, to another name of the folder.

        Returns:
            The other name.

        Raises:
            FileNotFoundError: There is nothing.
        """
        name = _unused_name()
        os.rename(self._name, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        return name

    def status_of(self, name: str) -> "os.stat_result":
        """Return what the kernel knows of another name of the folder."""
        return os.stat(name, dir_fd=self._folder, follow_symlinks=False)

    def remove(self, name: str) -> None:
        """Remove another name of the folder."""
        with suppress(OSError):
            os.unlink(name, dir_fd=self._folder)


class Bytes:
    """A file to which the plain bytes of a stream are appended as they come.

    Args:
        fd: The open file.
        place: Its place; None if it has none.
        most_bytes: Most bytes of it; what comes beyond is counted only. None for no limit.

    Attributes:
        lost: Number of bytes that found no place on the disk.
        beyond: Number of bytes beyond the limit.
    """

    def __init__(
        self, fd: int, place: "Place | None" = None, most_bytes: "int | None" = None
    ) -> None:
        self.fd = fd
        self.place = place
        self.most_bytes = most_bytes
        self.lost = self.beyond = 0
        self._room = math.inf if most_bytes is None else most_bytes
        self._open = 0  # bytes of a line that has no line feed yet
        self._cut = False

    def append(self, payload: bytes) -> bool:
        """Write a payload up to the limit; return whether it is the first that goes beyond."""
        fitting = payload if len(payload) <= self._room else payload[: int(self._room)]
        within = not self.beyond
        self.beyond += len(payload) - len(fitting)
        self._write(fitting)
        if self.beyond:
            self._room = 0
        return within and bool(self.beyond)

    def _write(self, payload: bytes) -> None:
        """Write a payload, or nothing if it does not fit: a full disk does not stop a command.

        What is there of the line that it goes on with is taken away then, too.
        """
        if self._cut:  # what is left of a line whose beginning is lost
            end = payload.find(b"\n") + 1
            self._cut = not end
            self.lost += end or len(payload)
            payload = payload[end:] if end else b""
        if not payload:
            return
        written, line = 0, payload.rfind(b"\n") + 1
        with suppress(OSError):
            written = os.write(self.fd, payload)
        if written == len(payload):
            self._room -= written
            self._open = len(payload) - line if line else self._open + written
            return
        begun = self._open if self._open <= MAX_LINE else 0
        self.lost += len(payload) + begun
        self._room += begun
        self._open, self._cut = 0, line < len(payload)
        with suppress(OSError):
            os.ftruncate(self.fd, os.fstat(self.fd).st_size - written - begun)

    def sync(self) -> None:
        """Have all of it on the disk, and its name."""
        with suppress(OSError):
            os.fsync(self.fd)
        if self.place is not None:
            self.place.sync()


def unnamed_file() -> int:
    """Make a file in the working folder that is gone with the process.

    Raises:
        OSError: It could not be made.
    """
    name = _unused_name()
    fd = os.open(name, _NEW, _PRIVATE_FILE)
    os.unlink(name)
    return fd


def place_of(spec: "Any") -> "Place":
    """Open the place that a specification names.

    Args:
        spec: ``folder`` and ``path``, as for :class:`Place`.

    Raises:
        OSError: There can be no such file; ``strerror`` names it.
    """
    try:
        return Place(spec["folder"], spec["path"])
    except OSError as exc:
        raise named(spec, exc) from exc


def named(spec: "Any", exc: OSError) -> OSError:
    """Return an error that says which file is meant."""
    path = f"{spec['folder'].rstrip('/')}/{spec['path']}"
    return OSError(exc.errno, f"{path}: {exc.strerror}")


def _step_into(within: int, name: str) -> int:
    with suppress(FileExistsError):
        os.mkdir(name, _PRIVATE_FOLDER, dir_fd=within)
    try:
        return os.open(name, _FOLDER, dir_fd=within)
    except OSError as exc:
        if _is_link(name, within):
            raise OSError(errno.ELOOP, f"'{name}' is a symbolic link") from exc
        raise


def _is_link(name: str, within: int) -> bool:
    with suppress(OSError):
        return stat.S_ISLNK(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode)
    return False


def _kind(mode: int) -> str:
    return "a symbolic link is there" if stat.S_ISLNK(mode) else "no regular file is there"


def _unused_name() -> str:
    return f".{os.urandom(8).hex()}.part"

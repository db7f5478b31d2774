"""How a process hears at once that another one committed to the same SQLite database.

SQLite tells it by ``PRAGMA data_version``, but only to who asks. What makes a commit visible is a
write to shared memory, of which the kernel tells nobody, and which comes after those to the log's
file. So whoever has committed touches the log, and the kernel tells that to all who watch it:
inotify(7).
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

import structlog

from app.store.sqlite_files import database_file

_IN_ATTRIB = 0x4
_BUFFER_BYTES = 64 * 1024
_LOOK_SECONDS = 0.01
"""How often to look where nothing tells of commits."""
_SAFETY_SECONDS = 1.0
"""How often to look although nothing was heard: a writer may be killed before it could tell."""
_REST_SECONDS = 0.002
"""Between two looks, so that one of them serves all commits of that time."""

_libc = ctypes.CDLL(None, use_errno=True)

log = structlog.get_logger(__name__)


def log_of(url: str) -> str:
    """Return the path of the log that SQLite writes ahead; an empty one without a file.

    Args:
        url: SQLAlchemy URL of the database.
    """
    file = database_file(url)
    return "" if file is None else os.path.realpath(file) + "-wal"


def tell(path: str) -> None:
    """Let all who watch a log know that something was committed; it is no loss if that fails."""
    with suppress(OSError):
        os.utime(path)


class CommitWatch:
    """Waits for commits to one database, of any process and in any of its threads.

    Nothing is heard where inotify cannot be used (its limits are reached, the file system has none,
    the database has no such log), where the log was replaced, or from programs that do not tell.
    Then looking is all that helps: every 10 ms, until something is heard again.

    Args:
        path: The log.
    """

    def __init__(self, path: str) -> None:
        self._path = os.fsencode(path)
        self._fd: int | None = None
        self._watch = -1
        self._poll = select.poll()
        self._trusted = True
        self._told = False
        self._looked_at = self._renewed_at = time.monotonic()
        self._renew()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Watch no longer."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd, self._watch = None, -1

    def wait(self) -> bool:
        """Wait until it is time to look.

        Returns:
            Whether a commit was told; there may be one all the same.
        """
        time.sleep(max(0.0, self._looked_at + _REST_SECONDS - time.monotonic()))
        heard = self._listen(
            _SAFETY_SECONDS if self._trusted and self._watch >= 0 else _LOOK_SECONDS
        )
        self._looked_at = time.monotonic()
        self._trusted |= heard
        if self._looked_at - self._renewed_at >= _SAFETY_SECONDS:
            self._renew()
        return heard

    def missed(self) -> None:
        """Note that there was a commit of which nothing was heard."""
        self._trusted = False

    def _listen(self, timeout_seconds: float) -> bool:
        if self._fd is None:
            time.sleep(timeout_seconds)
            return False
        # Lost events (IN_Q_OVERFLOW) and the end of the log (IN_IGNORED) are events as well.
        if not self._poll.poll(timeout_seconds * 1000):
            return False
        with suppress(BlockingIOError):
            os.read(self._fd, _BUFFER_BYTES)
        return True

    def _renew(self) -> None:
        """Watch the log that has the name now, if that is possible."""
        self._renewed_at = time.monotonic()
        try:
            if self._fd is None:
                self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
                self._poll.register(self._fd, select.POLLIN)
            # For the same file again it is the same number.
            watch = _checked(_libc.inotify_add_watch(self._fd, self._path, _IN_ATTRIB))
        except OSError as exc:
            watch = -1
            if not self._told:
                self._told = True
                log.info(
                    "commits are looked for, not heard of",
                    log=os.fsdecode(self._path),
                    error=str(exc),
                )
        if self._watch not in (-1, watch):
            _libc.inotify_rm_watch(self._fd, self._watch)  # if it is not gone with its file
        self._watch = watch


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result

"""What a command printed, laid where its definition says that its result is.

That is for commands that print what they make. One that writes the file itself is left alone, as is
whatever a user laid there. What an earlier run's shim laid there is the service's own: it is
replaced, so that nothing of an earlier run is taken for the result of this one. A *mark*, a record
elsewhere, tells by device, inode, size and time whether a file is still the one that a shim laid.
"""

# pathlib alone would add a fifth to the time that the shim takes to start.
# ruff: noqa: PTH103, PTH108, PTH118, PTH120, PTH208

import json
import os
from contextlib import suppress

from .places import named, place_of
from .records import write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_MARKS = 256
"""In one folder. A file whose mark is forgotten is never replaced, as if a user had laid it."""
_MAX_MARK_BYTES = 4096


class Capture:
    """The place of a result, from which an earlier one of the service's is taken away.

    Args:
        spec: ``folder`` and ``path`` as of a place, and ``mark``, the path of its mark.

    Raises:
        OSError: There can be no such file; ``strerror`` names it.
    """

    def __init__(self, spec: "Any") -> None:
        self._spec = spec
        self._mark: str = spec["mark"]
        self._place = place_of(spec)
        try:
            self._remove_own()
        except OSError as exc:
            raise named(spec, exc) from exc

    def lay(self, printed: int) -> None:
        """Lay what the command printed there, whole, unless there is something of somebody's.

        Args:
            printed: Open file that holds it.

        Raises:
            OSError: It could not be laid; ``strerror`` names the file.
        """
        try:
            self._lay(printed)
        except OSError as exc:
            raise named(self._spec, exc) from exc

    def _lay(self, printed: int) -> None:
        self._remove_own()  # by another run, which began later and ended earlier
        if self._place.status() is not None:
            return
        name = self._place.write_aside(printed)
        try:
            # The mark first: a file without one would be somebody's, and never replaced again.
            _write_mark(self._mark, _features(self._place.status_of(name)))
            self._place.name_it(name)
        finally:
            self._place.remove(name)
        self._place.sync()

    def _remove_own(self) -> None:
        """Take away what a shim laid there, if nobody has changed or replaced it since."""
        mark, status = _read_mark(self._mark), self._place.status()
        if mark is None or status is None or _features(status) != mark:
            return
        # What was taken aside cannot be replaced by something else between a look and its end.
        with suppress(FileNotFoundError):
            aside = self._place.take_aside()
            if _features(self._place.status_of(aside)) == mark or self._place.name_it(aside):
                self._place.remove(aside)


def _features(status: "os.stat_result") -> "list[int]":
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]


def _read_mark(path: str) -> "Any":
    with suppress(OSError, ValueError, RecursionError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return json.loads(os.read(fd, _MAX_MARK_BYTES))
        finally:
            os.close(fd)
    return None


def _write_mark(path: str, features: "list[int]") -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with suppress(OSError):
        _make_room(folder)
    write_atomically(path, json.dumps(features).encode())


def _make_room(folder: str) -> None:
    """Forget the older half of the marks where there are too many."""
    names = os.listdir(folder)
    if len(names) < _MOST_MARKS:
        return
    paths = [os.path.join(folder, name) for name in names]
    for path in sorted(paths, key=os.path.getmtime)[: len(paths) // 2]:
        os.unlink(path)

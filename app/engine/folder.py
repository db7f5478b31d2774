"""The folder of workflow definitions that operators fill by hand; nothing here writes to it."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from app.concurrency import make_pool
from app.domain import DefinitionText
from app.engine.compiled import MAX_BYTES, Compiled, Compiler, Faulty, key_of
from app.engine.faults import Fault, invalid_definition
from app.errors import Conflict, InvalidDefinition, SlipwayError
from app.store.compiled import FileRecord, WorkflowFiles, shown

log = structlog.get_logger(__name__)

MAX_FILES: Final = 1000
"""Most definitions of a folder; each request looks at all of them."""

_JSON: Final = "application/json"
_YAML: Final = "application/yaml"
_SUFFIXES: Final = (".yaml", ".yml", ".json")
# A file can change twice within one tick of its file system's clock, unnoticed by its stamp.
_LONGEST_TICK_NS: Final = 1_000_000_000
_AWAITED_BYTES: Final = 32 * 1024
_PATIENCE_SECONDS: Final = 30.0
"""How long a request waits for files that are just being read."""
_FOLDER: Final = "."
# Who has files checked: turns go by owner, and no user's name has a colon.
_NOW: Final = ":small files"
_LATER: Final = ":large files"

Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was when it was looked at.

    Attributes:
        stamp: Inode, time and size, or the error of the file system; None if the file was too young
            to trust them.
        key: Names its content, or that error.
        offered: Its last good content; None if it never had one.
        error: Why what it holds now is not offered.
        id: The workflow that it is about, as far as that is known.
    """

    stamp: Stamp | None
    key: str
    offered: Compiled | None = None
    error: InvalidDefinition | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class FaultyFile:
    """A file of the folder that is not offered as it is.

    Attributes:
        name: Its name; ``.`` is the folder itself.
        id: The workflow that it is about, as far as that is known.
        offered: Whether its last good content goes on being offered.
    """

    name: str
    id: str | None
    error: InvalidDefinition
    offered: bool


class DefinitionFolder:
    """Reads the definitions of ``<folder>/*.yaml``, ``*.yml`` and ``*.json``.

    Each call looks at the folder, so an edited file needs no restart, and a faulty one hides no
    other: of what became faulty, the last good content goes on being offered. A file is read again
    when its inode, time or size has changed, a large one beside the calls. A folder that does not
    exist is an empty one. Instances may be shared by threads and by greenlets.

    Args:
        folder: Where the files are.
        compiler: Checks their content.
        records: Remembers the last good content of each.
    """

    def __init__(self, folder: Path, compiler: Compiler, records: WorkflowFiles) -> None:
        self._folder = folder
        self._compiler = compiler
        self._records = records
        self._pool = make_pool(1)  # reading can take long
        self._lock = threading.Lock()
        self._files: dict[str, _File] = {}
        self._folder_error: InvalidDefinition | None = None
        self._reading: dict[str, threading.Event] = {}
        self._awaited: dict[str, threading.Event] = {}
        self._read_late_at = float("-inf")

    def all(self) -> list[Compiled]:
        """List the definitions, by id."""
        return sorted(self._offered().values(), key=lambda compiled: compiled.id)

    def find(self, workflow_id: str) -> Compiled | None:
        """Find a definition; one that is being read is waited for."""
        found = self._offered().get(workflow_id)
        if found is None and self.settle():
            found = self._offered().get(workflow_id)
        return found

    def names_of(self, workflow_id: str) -> list[str]:
        """Name the files that hold an id, in order."""
        self._look()
        held = _in_order(self._files)
        return [shown(n) for n, f in held if f.offered and f.offered.id == workflow_id]

    def text(self, compiled: Compiled) -> DefinitionText:
        """Return the text of an offered definition, as its file holds it.

        Raises:
            Conflict: No file holds it any more: it is faulty now, or has changed just now.
        """
        held = [name for name, file in _in_order(self._files) if file.key == compiled.key]
        for name in held:
            with suppress(OSError, UnicodeDecodeError):
                content = self._pool.run(read_definition, self._folder / name)
                if key_of(content) == compiled.key:
                    return DefinitionText(content.decode(), media_type(name))
        raise Conflict(
            f"The file of the workflow '{compiled.id}' holds something else by now; what is "
            "offered is its last good content, whose text is not kept."
        )

    def faults(self, uploaded: Collection[str] = ()) -> list[FaultyFile]:
        """Return which files are not offered as they are, and why.

        Args:
            uploaded: Ids of uploaded definitions, which are offered in the place of files.
        """
        self._look()
        found: list[FaultyFile] = []
        if self._folder_error is not None:
            found.append(FaultyFile(_FOLDER, None, self._folder_error, offered=bool(self._files)))
        owners = dict.fromkeys(uploaded, "an uploaded definition")
        for name, file in _in_order(self._files):
            if file.error is not None:
                offered = file.offered is not None and file.offered.id not in uploaded
                found.append(FaultyFile(shown(name), file.id, file.error, offered))
            elif file.offered is not None:
                mine = f"'{shown(name)}'"
                owner = owners.setdefault(file.offered.id, mine)
                if owner != mine:
                    error = invalid_definition([Fault(("id",), f"is the id of {owner} too")])
                    found.append(FaultyFile(shown(name), file.offered.id, error, offered=False))
        return found

    def settle(self) -> bool:
        """Wait for the files that are being read.

        Returns:
            Whether there were any, or were until just now: whoever looked before may have missed
            what they hold.
        """
        self._look()
        reading = list(self._reading.values())
        _await(reading)
        return bool(reading) or time.monotonic() - self._read_late_at < _PATIENCE_SECONDS

    def _offered(self) -> dict[str, Compiled]:
        """Read what is offered, by id: the good ones before those that were good."""
        self._look()
        offered: dict[str, Compiled] = {}
        for _, file in sorted(_in_order(self._files), key=lambda item: item[1].error is not None):
            if file.offered is not None:
                offered.setdefault(file.offered.id, file.offered)
        return offered

    def _look(self) -> None:
        """Bring the files up to date, but for large ones: those follow."""
        with self._lock:
            seen = self._stamps()
            if seen is None:
                return
            for name in [name for name in self._files if name not in seen]:
                self._forget(name)
            changed = {
                name: stamp
                for name, stamp in seen.items()
                if name not in self._reading
                and (name not in self._files or self._files[name].stamp != stamp)
            }
            now, later = _by_size(changed)
            for name in changed:
                self._reading[name] = threading.Event()
            self._awaited |= {name: self._reading[name] for name in now}
        if changed:  # not in the caller's greenlet, which is ended when its client goes away
            threading.Thread(target=self._read_both, args=(now, later), daemon=True).start()
        _await(list(self._awaited.values()))

    def _stamps(self) -> dict[str, Stamp] | None:
        """Look at the folder; None if that cannot be done."""
        try:
            with os.scandir(self._folder) as entries:
                names = sorted(entry.name for entry in entries if _is_definition(entry.name))
        except FileNotFoundError:
            names = []
        except OSError as exc:
            self._lose_folder(exc)
            return None
        if len(names) > MAX_FILES:
            text = f"the folder holds more than {MAX_FILES} definitions; the last are not offered"
            self._note_folder(text)
        else:
            self._folder_error = None
        stamps = {name: _stamp(self._folder / name) for name in names[:MAX_FILES]}
        return {name: stamp for name, stamp in stamps.items() if stamp is not None}

    def _lose_folder(self, exc: OSError) -> None:
        """Go on with what was good when the folder could be read."""
        error = self._note_folder(f"the folder of workflows cannot be read: {exc.strerror}")
        if not self._files:
            for name, record in self._records.all().items():
                self._files[name] = _File(None, "", self._last_good(record), error)

    def _note_folder(self, text: str) -> InvalidDefinition:
        if self._folder_error is None or self._folder_error.fields[0].message != text:
            log.warning("not all workflows are offered", folder=str(self._folder), error=text)
            self._folder_error = invalid_definition([Fault((), text)])
        return self._folder_error

    def _forget(self, name: str) -> None:
        del self._files[name]
        with suppress(SlipwayError):  # the store does not answer, and is asked for more than this
            self._records.forget(name)

    def _read_both(self, now: Mapping[str, Stamp], later: Mapping[str, Stamp]) -> None:
        if later:
            args = (later, _LATER)
            threading.Thread(target=self._read_all, args=args, daemon=True).start()
        self._read_all(now, _NOW)

    def _read_all(self, stamps: Mapping[str, Stamp], owner: str) -> None:
        for name, stamp in stamps.items():
            try:
                self._read(name, stamp, owner)
            except Exception as exc:
                known = isinstance(exc, SlipwayError)  # the store, or a queue that is full
                log.warning("a workflow file was not read", file=shown(name), exc_info=not known)
            finally:
                if owner == _LATER:
                    self._read_late_at = time.monotonic()
                self._awaited.pop(name, None)
                self._reading.pop(name).set()

    def _read(self, name: str, stamp: Stamp, owner: str) -> None:
        """Read a file that has changed, and note what it holds now."""
        file = self._current(name, stamp, owner)
        if file is None:
            self._files.pop(name, None)
            return
        before = self._files.get(name)
        if before and before.key == file.key:
            self._files[name] = replace(before, stamp=file.stamp)
        elif file.offered is not None:
            self._records.note(name, FileRecord(file.key))
            self._files[name] = file
        else:
            self._files[name] = self._with_last_good(name, file)

    def _current(self, name: str, stamp: Stamp, owner: str) -> _File | None:
        """Return what a file holds; None if it is gone."""
        if len(stamp) == 1:
            return _unreadable(stamp, stamp[0])
        try:
            text = self._pool.run(read_definition, self._folder / name)
        except FileNotFoundError:
            return None
        except OSError as exc:
            return _unreadable(None, exc.errno or 0)
        settled = time.time_ns() - stamp[1] > _LONGEST_TICK_NS
        outcome = self._compiler.compile(text, owner)
        trusted = stamp if settled else None
        if isinstance(outcome, Faulty):
            return _File(trusted, outcome.key, None, outcome.error, outcome.id)
        return _File(trusted, outcome.key, outcome, None, outcome.id)

    def _with_last_good(self, name: str, file: _File) -> _File:
        """Add what a faulty file held before, and log its fault once."""
        assert file.error is not None  # noqa: S101  (it is faulty)
        record = self._records.get(name)
        if self._records.note(name, FileRecord(record.good, file.key[:64])):
            faults = [f"{f.path}: {f.message}" if f.path else f.message for f in file.error.fields]
            log.warning("a workflow file is faulty", file=shown(name), faults=faults[:10])
        offered = self._last_good(record)
        return replace(file, offered=offered, id=file.id or (offered.id if offered else None))

    def _last_good(self, record: FileRecord) -> Compiled | None:
        found = self._compiler.find(record.good) if record.good else None
        return replace(found, stale=True) if isinstance(found, Compiled) else None


def _in_order(files: Mapping[str, _File]) -> list[tuple[str, _File]]:
    return sorted(files.items())


def _await(readings: Sequence[threading.Event]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for reading in readings:
        reading.wait(max(0.0, deadline - time.monotonic()))


def _is_definition(name: str) -> bool:
    return name.endswith(_SUFFIXES) and not name.startswith(".")


def _stamp(path: Path) -> Stamp | None:
    """Return what a file looks like, or the error of the file system; None if there is no file."""
    try:
        status = path.stat()
    except OSError as exc:
        gone = isinstance(exc, FileNotFoundError) and not path.is_symlink()
        return None if gone else (exc.errno or 0,)
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        return (0,)
    return status.st_ino, status.st_mtime_ns, status.st_size


def _unreadable(stamp: Stamp | None, number: int) -> _File:
    reason = os.strerror(number) if number else "it is no regular file"
    if number == errno.ENOENT:
        reason = "the link leads nowhere"
    error = invalid_definition([Fault((), f"cannot be read: {reason}")])
    return _File(stamp, f"error {number}", None, error)


def _by_size(stamps: Mapping[str, Stamp]) -> tuple[dict[str, Stamp], dict[str, Stamp]]:
    """Part the files that a caller can wait for from those that are too large together."""
    now: dict[str, Stamp] = {}
    left = _AWAITED_BYTES
    for name, stamp in stamps.items():
        size = stamp[-1] if len(stamp) > 1 else 0
        if size <= left:
            left -= size
            now[name] = stamp
    return now, {name: stamp for name, stamp in stamps.items() if name not in now}


def media_type(name: str) -> str:
    """Return what a file holds, by its name."""
    return _JSON if name.endswith(".json") else _YAML


def read_definition(path: Path) -> bytes:
    """Read a file; of one that is too large, enough to tell so.

    Raises:
        OSError: It cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_BYTES + 1)

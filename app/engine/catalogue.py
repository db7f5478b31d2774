"""The folder of workflow definitions that the engine offers."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from app.engine import definition as definitions
from app.engine import document
from app.engine.faults import Fault, invalid_definition
from app.engine.model import Definition
from app.errors import Conflict, InvalidDefinition, NotFound
from app.files import make_private_folder, write_whole

_SUFFIXES: Final = (".yaml", ".yml", ".json")
# A file can change twice within one tick of its file system's clock, unnoticed by its stamp.
_LONGEST_TICK_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was when it was read.

    Attributes:
        stamp: Inode, time and size; None if the file was too young to trust them.
    """

    stamp: tuple[int, int, int] | None
    content: Definition | InvalidDefinition


class Catalogue:
    """Offers the definitions of ``<folder>/*.yaml``, ``*.yml`` and ``*.json``.

    Each call looks at the folder, so an edited file needs no restart, and a faulty one hides no
    other. A file is read again when its inode, time or size has changed. A folder that does not
    exist is an empty catalogue. Instances may be shared by threads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._files: dict[str, _File] = {}

    def all(self) -> list[Definition]:
        """List the definitions, by id."""
        return sorted(self._offered().values(), key=lambda definition: definition.id)

    def get(self, workflow_id: str) -> Definition:
        """Find a definition.

        Raises:
            NotFound: No valid file holds this id.
        """
        try:
            return self._offered()[workflow_id]
        except KeyError:
            raise NotFound(f"There is no workflow '{workflow_id}'.") from None

    def faults(self) -> Mapping[str, InvalidDefinition]:
        """Tell why files are not offered, by file name."""
        with self._lock:
            files = self._scan()
        faults: dict[str, InvalidDefinition] = {}
        owners: dict[str, str] = {}
        for name, file in files.items():
            if isinstance(file.content, InvalidDefinition):
                faults[name] = file.content
            elif (owner := owners.setdefault(file.content.id, name)) != name:
                faults[name] = invalid_definition([Fault(("id",), f"is the id of '{owner}' too")])
        return faults

    def save(self, definition: Definition) -> None:
        """Write ``<id>.yaml``, at once or not at all; any other file that held the id goes.

        Raises:
            Conflict: The file of this name holds a workflow with another id.
            OSError: The folder cannot be written.
        """
        name = f"{definition.id}.yaml"
        with self._lock:
            files = self._scan()
            present = files[name].content if name in files else definition
            if isinstance(present, Definition) and present.id != definition.id:
                raise Conflict(f"The file {name} holds the workflow '{present.id}'.")
            make_private_folder(self._folder)
            write_whole(self._folder / name, document.write(definition.source).encode())
            for other in _holders(files, definition.id):
                if other != name:
                    (self._folder / other).unlink(missing_ok=True)

    def remove(self, workflow_id: str) -> None:
        """Delete the files that hold an id.

        Raises:
            NotFound: No valid file does.
            OSError: The folder cannot be written.
        """
        with self._lock:
            holders = _holders(self._scan(), workflow_id)
            if not holders:
                raise NotFound(f"There is no workflow '{workflow_id}'.")
            for name in holders:
                (self._folder / name).unlink(missing_ok=True)

    def _offered(self) -> dict[str, Definition]:
        with self._lock:
            files = self._scan()
        offered: dict[str, Definition] = {}
        for file in files.values():
            if isinstance(file.content, Definition):
                offered.setdefault(file.content.id, file.content)
        return offered

    def _scan(self) -> dict[str, _File]:
        """Bring the files up to date, in the order of their names; the lock is held."""
        found: dict[str, _File] = {}
        try:
            with os.scandir(self._folder) as entries:
                names = sorted(entry.name for entry in entries if _is_definition(entry))
        except FileNotFoundError:
            names = []
        for name in names:
            try:
                found[name] = self._current(name)
            except FileNotFoundError:  # removed since the folder was listed
                continue
        self._files = found
        return found

    def _current(self, name: str) -> _File:
        path = self._folder / name
        status = path.stat()
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        known = self._files.get(name)
        if known and known.stamp == stamp:
            return known
        settled = time.time_ns() - status.st_mtime_ns > _LONGEST_TICK_NS
        return _File(stamp if settled else None, _read(path))


def _is_definition(entry: os.DirEntry[str]) -> bool:
    hidden = entry.name.startswith(".")
    return entry.name.endswith(_SUFFIXES) and not hidden and entry.is_file()


def _read(path: Path) -> Definition | InvalidDefinition:
    try:
        return definitions.parse(path.read_bytes())
    except InvalidDefinition as exc:
        return exc
    except PermissionError:
        return invalid_definition([Fault((), "cannot be read by this service")])


def _holders(files: Mapping[str, _File], workflow_id: str) -> list[str]:
    return [
        name
        for name, file in files.items()
        if isinstance(file.content, Definition) and file.content.id == workflow_id
    ]

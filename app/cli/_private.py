"""Nobody but the service's own user may read what it keeps; seen to at every start."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from app.errors import ConfigError, FieldError
from app.files import PRIVATE_FILE, PRIVATE_FOLDER, make_private_folder
from app.settings import Settings
from app.store.recognition import check_file
from app.store.sqlite_files import database_files

log = structlog.get_logger(__name__)

_OURS = frozenset(
    {"doorbell", "executions", "lost+found", "master.key", "node-id", "slipway.db",
     "slipway.db-journal", "slipway.db-shm", "slipway.db-wal", "workflows"}
)  # fmt: skip
_REFUSED = frozenset({"lost+found", "master.key"})
"""Not closed: the first is the machine's; who left the second open is told, and must think."""
_MARKS = frozenset({"master.key", "node-id", "slipway.db"})


def keep_private(settings: Settings, config: Path | None) -> None:
    """Take from other users what they could read: the data folder, the database, the settings.

    Args:
        settings: Where all of that is.
        config: File of the settings, if there is one.

    Raises:
        ConfigError: Something is open to others and cannot, or must not, be changed by us; or what
            is named as the database is something else, whose mode is not ours to change.
    """
    check_file(settings.database_url)
    faults = [
        *_data_folder(settings.data_dir),
        *(fault for path in _kept(settings) for fault in _tighten(path)),
    ]
    if config is not None and settings.secrets_in_file:
        faults += _settings_file(config, settings.secrets_in_file)
    if faults:
        raise ConfigError("Other users could read what they must not.", fields=tuple(faults))


def _data_folder(folder: Path) -> Iterator[FieldError]:
    """See to the data folder, unless it is plainly not ours alone, such as ``/tmp``."""
    try:
        make_private_folder(folder)
        folder = folder.resolve()
    except OSError as exc:
        yield FieldError("data_dir", f"{folder} cannot be made: {exc.strerror}")
        return
    mode = folder.stat().st_mode
    if mode & (PRIVATE_FOLDER ^ 0o777):
        names = {entry.name for entry in folder.iterdir()}
        if mode & stat.S_ISVTX or not (names <= _OURS or names & _MARKS):
            text = f"{folder} is shared with other users (mode {mode & 0o7777:04o}) and holds more"
            yield FieldError("data_dir", f"{text} than this service's data: give it its own folder")
            return
    yield from _tighten(folder)


def _kept(settings: Settings) -> Iterator[Path]:
    """Yield the paths that only this user may open; those that do not exist are passed over."""
    yield from database_files(settings.database_url)
    for name in sorted(_OURS - _REFUSED):
        yield settings.data_dir / name
    if settings.executions_dir.is_dir():
        yield from settings.executions_dir.iterdir()


def _settings_file(config: Path, secrets: Sequence[str]) -> Iterator[FieldError]:
    """See to a file with secrets; one that root made may be read by the service's group."""
    foreign = config.stat().st_uid != os.geteuid()
    allowed = PRIVATE_FILE | stat.S_IRGRP if foreign else PRIVATE_FILE
    for fault in _tighten(config.resolve(), allowed):
        yield FieldError(secrets[0], f"stands in a file that everybody may read: {fault.message}")


def _tighten(path: Path, allowed: int | None = None) -> Iterator[FieldError]:
    """Take what others may do beyond what is allowed, by default all; say why where that fails."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode):
        return
    if allowed is None:
        allowed = PRIVATE_FOLDER if stat.S_ISDIR(status.st_mode) else PRIVATE_FILE
    mode = stat.S_IMODE(status.st_mode)
    wanted = mode & (allowed | ~0o077)
    if mode == wanted:
        return
    try:
        path.chmod(wanted)
    except OSError as exc:
        text = f"{path} is open to other users (mode {mode:04o}) and cannot be changed"
        yield FieldError(str(path), f"{text}: {exc.strerror}")
    else:
        log.warning(
            "was open to other users", path=str(path), mode=f"{mode:04o}", now=f"{wanted:04o}"
        )

"""What launchers that keep a job's records in files share."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app.engine.launchers.shim import records
from app.errors import InvalidRequest, UpstreamRefused, UpstreamUnreachable
from app.files import text_mode

_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG}


@contextmanager
def disk_errors() -> Iterator[None]:
    """Raise what the contract of a launcher names, where the disk or the machine fails.

    Raises:
        UpstreamRefused: There can be no such folder, now or later.
        UpstreamUnreachable: The disk cannot be used now, or no process can be made.
    """
    try:
        yield
    except (OSError, subprocess.SubprocessError) as exc:
        if isinstance(exc, OSError) and exc.errno in _NO_FOLDER:
            message = f"The folder of the job cannot be made: {exc.strerror}."
            raise UpstreamRefused(message, detail=str(exc)) from exc
        message = "The folder of the job, or the machine, cannot be used now."
        raise UpstreamUnreachable(message, detail=str(exc)) from exc


def write_files(folder: Path, files: Mapping[str, str], reserved: Collection[str]) -> None:
    """Write the files of a job, each at once and whole; scripts may be executed.

    Args:
        folder: The job's folder, which exists.
        files: Texts by name; bytes that UTF-8 cannot hold become question marks.
        reserved: Names that a file cannot have: those of the records.

    Raises:
        InvalidRequest: A file has a name that it cannot have.
        OSError: The disk cannot be used now.
    """
    for name, text in files.items():
        if name in ("", ".", "..") or name in reserved or "/" in name:
            raise InvalidRequest(f"A file of a step cannot be named '{name}'.")
        content = text.encode("utf-8", "replace")
        records.write_atomically(str(folder / name), content, text_mode(text))

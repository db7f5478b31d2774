"""The records of a job that a login node writes, beside those of its shim."""

import json
import os
from contextlib import suppress

from app.engine.launchers.shim import records
from app.engine.launchers.shim.reading import Damaged, read_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SPECIFICATION = "specification.json"
"""What the shim is told. It may hold secrets, and is taken away by the shim."""
SUBMISSION = "submission"
"""Somebody tried to submit the job: its mark, and when. Made once for each try."""
JOB = "job"
"""The id that Slurm gave to it, or to its array, and when that was noted."""
TAKEN = ".taken"
"""What the name of a record ends with that holds its place where there are no links."""
RESERVED = {
    *(records.SPEC, records.CLAIM, records.EXIT, records.FRAMES, records.OUTPUTS),
    *(records.CANCEL, records.PAUSE, records.USAGE, SPECIFICATION, SUBMISSION, JOB),
}


def path(folder: str, name: str) -> str:
    """Return the path of a record."""
    return os.path.join(folder, name)


def text_of(folder: str, name: str) -> "Any":
    """Read a record; None if it is not there, and what is wrong with it if it is of no use.

    Raises:
        OSError: The disk cannot be used now.
    """
    try:
        content = read_record(path(folder, name))
    except Damaged as exc:
        return {"damaged": str(exc)}
    return None if content is None else content.decode("utf-8", "replace")


def read(folder: str, name: str) -> "dict[str, Any] | None":
    """Read a record that is an object; None if it is not there, or of no use.

    Raises:
        OSError: The disk cannot be used now.
    """
    text = text_of(folder, name)
    if isinstance(text, str):
        with suppress(ValueError):
            content = json.loads(text)
            if isinstance(content, dict):
                return content
    return None


def write(folder: str, name: str, content: "dict[str, Any]") -> None:
    """Write a record, in the place of one that is there.

    Raises:
        OSError: It could not be written.
    """
    records.write_atomically(path(folder, name), json.dumps(content).encode())
    records.sync(folder)


def forget(folder: str, *names: str) -> None:
    """Take records away, and what holds their names where there are no links; idempotent.

    Raises:
        OSError: One cannot be taken away.
    """
    for name in names:
        for each in (f"{name}{TAKEN}", name):
            with suppress(FileNotFoundError):
                os.unlink(path(folder, each))

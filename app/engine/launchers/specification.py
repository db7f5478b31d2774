"""What a shim is told of its job."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.domain import JSON
from app.engine.launchers.base import Job, Place
from app.engine.launchers.shim import records

MARKS: Final = "captured"
"""Name of the folder for the marks of captured files."""

_LETTERS: Final = 2
_ROOT: Final = Path("/")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The machine of a shim.

    Attributes:
        path_of: Returns where something is there that has a path here.
        umask: Of the command.
        doorbell: Named pipe for the report that something happened; None for none.
        marks: Folder for the marks of captured files at absolute paths, by which later executions
            know them; None where only later attempts of the same step do.
    """

    path_of: Callable[[Path], str]
    umask: int
    doorbell: str | None = None
    marks: str | None = None


def specification(job: Job, there: Surroundings) -> dict[str, JSON]:
    """Return what the shim of a job reads; it may hold secrets.

    Args:
        job: The job.
        there: Where the shim runs.
    """
    outputs = there.path_of(job.folder / records.OUTPUTS)
    return {
        "argv": list(job.argv),
        "env": {**job.env, "SLIPWAY_OUTPUT": outputs},
        "stdin": job.stdin,
        "files": list(job.files),
        "working_dir": there.path_of(job.working_dir),
        "timeout_seconds": job.timeout_seconds,
        "kill_grace_seconds": job.kill_grace_seconds,
        "execution_id": job.execution_id,
        "doorbell": there.doorbell,
        "umask": there.umask,
        "most_output_bytes": job.most_output_bytes,
        "stdout": job.stdout and _place(job.stdout, there),
        "stderr": job.stderr and _place(job.stderr, there),
        "capture": job.capture and _capture(job.capture, job.folder, there),
    }


def _place(place: Place, there: Surroundings) -> dict[str, JSON]:
    folder = "/" if place.folder == _ROOT else there.path_of(place.folder)
    return {"folder": folder, "path": place.path}


def _capture(capture: Place, folder: Path, there: Surroundings) -> JSON:
    # What is in an execution's folder goes with it, and so does its mark. The others' are
    # spread over folders, each with a bound of its own.
    digest = hashlib.sha256(os.fsencode(capture.folder / capture.path)).hexdigest()
    if capture.folder != _ROOT:
        marks = there.path_of(capture.folder.parent / MARKS)
    elif there.marks is not None:
        marks = f"{there.marks}/{digest[:_LETTERS]}"
    else:
        marks = there.path_of(folder.parent / MARKS)
    return {**_place(capture, there), "mark": f"{marks}/{digest}"}

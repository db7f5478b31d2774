"""From a job of the engine to what sbatch and a shim are told."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from app.clients.slurm.submission import Request, sbatch
from app.domain import JSON
from app.engine.launchers.base import Job
from app.engine.launchers.slurm.options import SlurmOptions
from app.engine.launchers.specification import MARKS, Surroundings, specification
from app.errors import FieldError, InvalidRequest
from app.job_resources import Resources

ENVIRONMENT: Final[Mapping[str, str | None]] = {"LC_ALL": "C", "SBATCH_EXPORT": None}


@dataclass(frozen=True, slots=True)
class There:
    """Where a job is to run.

    Attributes:
        root: Absolute path of the folder that holds those of executions.
        umask: Of the account.
        path_of: Returns where something is there that has a path here.
    """

    root: str
    umask: int
    path_of: Callable[[Path], str]


def command_line(
    resources: Resources, mark: str, options: SlurmOptions, tasks: int | None = None
) -> list[str]:
    """Return the command line that submits a job, or an array of jobs.

    Args:
        resources: What the step asks for.
        mark: Name of the job.
        options: What it gets where it asks for nothing.
        tasks: Number of jobs of an array; None for a single job.

    Raises:
        InvalidRequest: Something of it is not fit for a command line.
    """
    asked = replace(
        resources,
        partition=resources.partition or options.partition,
        account=resources.account or options.account,
        qos=resources.qos or options.qos,
    )
    try:
        argv = sbatch(Request(mark, resources=asked, array=tasks))
    except ValueError as exc:
        name, _, text = str(exc).partition(": ")
        fault = FieldError(f"resources.{name}", text)
        raise InvalidRequest(f"resources: {exc}", fields=(fault,)) from exc
    return [*argv, "--requeue" if options.requeue else "--no-requeue"]


def specify(job: Job, there: There, options: SlurmOptions) -> dict[str, JSON]:
    """Return what the shim of a job is told.

    Args:
        job: The job.
        there: Where it is to run.
        options: Of the cluster.
    """
    surroundings = Surroundings(
        path_of=there.path_of, umask=there.umask, marks=f"{there.root}/.slipway/{MARKS}"
    )
    files = {str(job.folder / name): there.path_of(job.folder / name) for name in job.files}
    told = specification(
        replace(job, argv=tuple(files.get(word, word) for word in job.argv)), surroundings
    )
    modules = [f"module load {shlex.quote(name)}" for name in job.modules]
    return {**told, "setup": [*options.setup, *modules], "requeue": options.requeue}

"""Submitting with sbatch(1): its command line, and what its answer says."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from app.job_resources import Resources

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_WORD: Final = re.compile(r"[A-Za-z0-9_.,:|&*()\[\]=%+@/!-]{1,1000}")
"""What stands in an option: nothing that a shell, an option parser or Slurm reads as more."""
_ID: Final = re.compile(r"([1-9][0-9]{0,17})(?:;[^\s;]+)?")
_MIB: Final = 1024 * 1024
_EXTRA: Final = re.compile(r"--([a-z][a-z0-9-]{0,63})(?:=[^\0-\x1f\x7f]{0,1000})?")
_OURS: Final = frozenset({
    *("parsable", "job-name", "comment", "output", "error", "input", "export", "export-file"),
    *("array", "wrap", "test-only", "wait", "chdir", "cluster", "clusters", "requeue"),
    *("no-requeue", "uid", "gid", "get-user-env", "quiet", "help", "usage", "version"),
})  # fmt: skip
"""Options by which jobs are found again, and that have sbatch do something else."""


@dataclass(frozen=True, slots=True)
class Request:
    """A job, or an array of jobs, that is to be submitted.

    Attributes:
        name: Its name and comment, which no other job has: letters, digits, ``.``, ``_``, ``-``.
        output: File for what the batch script itself prints.
        resources: What it asks for. Slurm counts its time in minutes, and begun ones count.
        array: Number of its tasks, from 0; None where it is no array.
        most_at_once: Most tasks of the array that run at the same time.
    """

    name: str
    output: str = "/dev/null"
    resources: Resources = field(default_factory=Resources)
    array: int | None = None
    most_at_once: int | None = None


class Outcome(StrEnum):
    """What became of a submission."""

    SUBMITTED = "submitted"
    REFUSED = "refused"
    """For good: the same would be refused again."""
    UNSURE = "unsure"
    """Slurm may have taken it, and what says so was lost; or it may take it later."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What an answer of sbatch says.

    Attributes:
        job_id: Of the job, or of the array; None unless it was submitted.
        reason: Why it was not, in Slurm's words.
    """

    outcome: Outcome
    job_id: int | None = None
    reason: str = ""


def sbatch(request: Request) -> list[str]:
    """Return the command line that submits the script on its standard input.

    Raises:
        ValueError: A value is not fit for a command line; the message names its field.
    """
    _require(_NAME, "name", request.name)
    asked = request.resources
    argv = ["sbatch", "--parsable", f"--job-name={request.name}", f"--comment={request.name}"]
    argv += [f"--output={request.output}", "--export=NONE"]
    given: dict[str, str | int | None] = {
        "cpus-per-task": asked.cpus if asked.cpus > 1 else None,
        "mem": f"{math.ceil(asked.memory_bytes / _MIB)}M" if asked.memory_bytes else None,
        "time": None if asked.time_seconds is None else _minutes(asked.time_seconds),
        "nodes": asked.nodes,
        "ntasks": asked.tasks,
        "ntasks-per-node": asked.tasks_per_node,
        "gpus": asked.gpus or None,
        "partition": asked.partition,
        "account": asked.account,
        "qos": asked.qos,
        "reservation": asked.reservation,
        "constraint": asked.constraint,
        "array": _array(request),
    }
    for option, value in given.items():
        if value is not None:
            _require(_WORD, option, str(value))
            argv.append(f"--{option}={value}")
    if asked.exclusive:
        argv.append("--exclusive")
    check_extra(asked.extra)
    return [*argv, *asked.extra]


def check_extra(words: Iterable[str]) -> None:
    """Make sure that options may be handed on to sbatch.

    Raises:
        ValueError: One may not be; the message begins with the name of the field.
    """
    for word in words:
        found = _EXTRA.fullmatch(word)
        if found is None:
            raise ValueError(f"extra: '{word[:100]}' is no option that begins with --")
        # It also takes the beginning of a name for the whole of it: getopt_long(3).
        if any(name.startswith(found[1]) for name in _OURS):
            raise ValueError(f"extra: '{word[:100]}' is an option that is not a step's to choose")


def submitted(code: int | None, stdout: str, stderr: str) -> Submitted:
    """Read an answer of sbatch.

    Args:
        code: Its exit code; None where it was ended for its time.
        stdout: What it printed; lines of others may stand before its id.
        stderr: What it complained of.
    """
    lines = stdout.split()
    found = _ID.fullmatch(lines[-1]) if lines else None
    if code == 0 and found:
        return Submitted(Outcome.SUBMITTED, int(found[1]))
    reason = _reason(stderr)
    if code is None or code == 0 or not _is_for_good(code, stderr):
        return Submitted(Outcome.UNSURE, reason=reason)
    return Submitted(Outcome.REFUSED, reason=reason)


_LATER: Final = re.compile(
    r"contact slurm controller|timed out|timeout|connect|Socket|Zero Bytes|Unexpected message|"
    r"try again|temporarily|Resource temporarily|Protocol authentication|Munge|"
    r"in the process of|busy|Slurm temporarily|communication",
    re.IGNORECASE,
)
"""Words of faults that pass, and of answers that were lost."""
_REFUSES: Final = re.compile(r"sbatch: (?:error|fatal|unrecognized|invalid)|Try \"sbatch --help\"")


def _is_for_good(code: int, stderr: str) -> bool:
    return code in (1, 255) and bool(_REFUSES.search(stderr)) and not _LATER.search(stderr)


def _reason(stderr: str) -> str:
    """Return what sbatch complains of, without its name; the last line says most."""
    told = [line.strip() for line in stderr.splitlines() if line.startswith("sbatch:")]
    words = [line.removeprefix("sbatch:").strip().removeprefix("error:").strip() for line in told]
    return " ".join(dict.fromkeys(words))[:1000]


def _minutes(seconds: float) -> int:
    return max(1, math.ceil(seconds / 60))


def _array(request: Request) -> str | None:
    if request.array is None:
        return None
    most = f"%{request.most_at_once}" if request.most_at_once else ""
    return f"0-{request.array - 1}{most}"


def _require(pattern: re.Pattern[str], name: str, value: str) -> None:
    if not pattern.fullmatch(value):
        raise ValueError(f"{name}: '{value}' has characters that no option of Slurm takes")

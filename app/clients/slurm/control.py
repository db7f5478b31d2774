"""Acting upon jobs: scancel(1) and scontrol(1), their command lines and what their answers say."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

_GONE: Final = re.compile(
    r"invalid job id|already (?:finished|completing|completed)|job/step already", re.IGNORECASE
)
_DENIED: Final = re.compile(
    r"access/permission denied|permission denied|invalid user id|not permitted", re.IGNORECASE
)
_NEEDLESS: Final = re.compile(
    r"already suspended|not suspended|is not held|job is (?:no longer|not) pending|"
    r"requested operation is presently disabled|job is no longer pending",
    re.IGNORECASE,
)


class Effect(StrEnum):
    """What a command upon a job came to."""

    DONE = "done"
    """It is as was asked for, or there is no such job any more."""
    DENIED = "denied"
    """This account may not do that, now or later."""
    FAILED = "failed"
    """It may have been done, or not; it can be asked for again."""


def name_of(job_id: int, task: int | None = None) -> str:
    """Return how a job, or one task of an array, is called on command lines."""
    return str(job_id) if task is None else f"{job_id}_{task}"


def scancel(job: str, mark: str | None = None) -> list[str]:
    """Return the command line that ends a job, politely first; it is also taken out of the queue.

    Args:
        job: As :func:`name_of` returns it.
        mark: What the job is called: one of another name that has its number is left alone.
    """
    return ["scancel", job] if mark is None else ["scancel", f"--name={mark}", job]


def signal_all(job: str, signal: str) -> list[str]:
    """Return the command line that sends a signal to all processes of a job that runs.

    Without ``--full`` the batch script would not get it, and neither would what it began itself.

    Args:
        job: As :func:`name_of` returns it.
        signal: Its name without SIG, such as ``STOP``.
    """
    return ["scancel", f"--signal={signal}", "--full", job]


def scontrol(verb: str, job: str) -> list[str]:
    """Return the command line of ``hold``, ``release``, ``suspend`` or ``resume``.

    Args:
        verb: What to do; the last two need an administrator.
        job: As :func:`name_of` returns it.
    """
    return ["scontrol", verb, job]


def effect(code: int | None, stderr: str) -> Effect:
    """Judge how a command ended.

    Args:
        code: Its exit code; None where it was ended for its time.
        stderr: What it complained of.
    """
    if code == 0 or _GONE.search(stderr) or _NEEDLESS.search(stderr):
        return Effect.DONE
    return Effect.DENIED if _DENIED.search(stderr) else Effect.FAILED

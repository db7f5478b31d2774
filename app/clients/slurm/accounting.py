"""Jobs that have ended, by sacct(1); it needs slurmdbd, and is late by seconds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from app.clients.slurm.rows import Job, moment, number, rows
from app.clients.slurm.states import Standing, standing, state_word

_FORMAT: Final = "JobID,JobIDRaw,State,ExitCode,Submit,Start,End,NodeList,User,JobName"
_FIELDS: Final = _FORMAT.count(",") + 1
_SHOWN: Final = re.compile(r"([0-9]{1,18})(?:_([0-9]{1,18}))?")
_CODE: Final = re.compile(r"([0-9]{1,3}):([0-9]{1,3})")
_BY_SIGNAL: Final = 128
_SWITCHED_OFF: Final = "accounting storage is disabled"
_NO_FOLDER: Final = 53
"""The signal number by which Slurm says that its script could not be begun in its folder, or that
its output could not be opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounted(Job):
    """A job, or a task of an array, as sacct tells it; one that stands still is told as running.

    Attributes:
        exit_code: As a shell counts: ``128 + n`` for signal ``n``; None while it has not ended.
        unbegun: Its script could not be begun: its folder, or its output, could not be used.
        started_at, finished_at: Seconds since the epoch; None where not known.
        nodes: Slurm's list of them; empty before the start.
    """

    exit_code: int | None
    unbegun: bool
    started_at: float | None
    finished_at: float | None
    nodes: str


def sacct(
    since: float, *, jobs: Iterable[int] = (), names: Iterable[str] = (), users: Iterable[str] = ()
) -> list[str]:
    """Return the command line that asks for jobs, without their steps.

    Args:
        since: Jobs of before are left out; seconds since the epoch. Ids are used again, so each
            question has a bound.
        jobs: Their ids; with none it is asked by the names.
        names: Their names.
        users: Accounts; with none those of the account that asks.
    """
    argv = ["sacct", "--allocations", "--noheader", "--parsable2", f"--format={_FORMAT}"]
    argv.append(f"--starttime=uts{int(since)}")
    for option, values in (("jobs", map(str, jobs)), ("name", names), ("user", users)):
        if given := ",".join(values):
            argv.append(f"--{option}={given}")
    return argv


def accounted(text: str) -> list[Accounted]:
    """Read what sacct printed; lines that are not its own, and steps, are passed over."""
    return [row for fields in rows(text, _FIELDS) if (row := _row(fields)) is not None]


def is_switched_off(errors: str) -> bool:
    """Return whether sacct failed because the cluster has no accounting."""
    return _SWITCHED_OFF in errors.lower()


def _row(fields: Sequence[str]) -> Accounted | None:
    shown, own, state, code, submitted, started, finished, nodes, user, name = fields
    place, job_id = _SHOWN.fullmatch(shown), number(own)
    if place is None or job_id is None:
        return None
    word = state_word(state)
    ended = standing(word) is Standing.ENDED
    exit_code, unbegun = _exit(code) if ended else (None, False)
    return Accounted(
        job_id=job_id,
        array_id=int(place[1]),
        task=None if place[2] is None else int(place[2]),
        state=word,
        exit_code=exit_code,
        unbegun=unbegun,
        submitted_at=moment(submitted),
        started_at=moment(started),
        finished_at=moment(finished),
        nodes="" if nodes == "None assigned" else nodes,
        user=user,
        name=name,
    )


def _exit(text: str) -> tuple[int | None, bool]:
    """Read ``code:signal``; return the code as a shell counts, and whether it was never begun."""
    found = _CODE.fullmatch(text)
    if found is None:
        return None, False
    code, signal = int(found[1]), int(found[2])
    if signal == _NO_FOLDER:
        return 126, True
    return (_BY_SIGNAL + signal if signal else code), False

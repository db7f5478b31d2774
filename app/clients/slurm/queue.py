"""Jobs in the queue, by squeue(1): one question for all jobs of all accounts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from app.clients.slurm.states import Standing, standing, state_word

ENVIRONMENT: Final = {
    "SLURM_TIME_FORMAT": "%s", "SQUEUE_FORMAT": None, "SQUEUE_FORMAT2": None,
    "SQUEUE_STATES": None, "SQUEUE_SORT": None, "SQUEUE_USERS": None, "SQUEUE_PARTITION": None,
    "SQUEUE_ACCOUNT": None, "SQUEUE_QOS": None, "SACCT_FORMAT": None, "SLURM_CLUSTERS": None,
}  # fmt: skip
"""Changes to the environment of all questions: an account's own settings change no answer."""

_FORMAT: Final = "%i|%A|%F|%K|%T|%r|%S|%e|%V|%B|%u|%j"
_FIELDS: Final = _FORMAT.count("|") + 1
_DIGITS: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Queued:
    """A job, or a task of an array, as squeue tells it.

    Attributes:
        job_id: Its own id. One task of an array has that of the array.
        array_id: Of its array; its own where it is in none.
        task: Its number in the array; None where it is in none.
        state: Slurm's word.
        reason: Slurm's word for why it waits or ended.
        starts_at: When it began, or is expected to; seconds since the epoch, None if not known.
        submitted_at: Seconds since the epoch; anew for what was requeued.
        node: Where its script runs; empty before.
        user: Name of its account.
        name: Its name.
    """

    job_id: int
    array_id: int
    task: int | None
    state: str
    reason: str
    starts_at: float | None
    submitted_at: float | None
    node: str
    user: str
    name: str

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        return standing(self.state)


def squeue(users: Iterable[str]) -> list[str]:
    """Return the command line that asks for all jobs of accounts, those in memory that ended too.

    Its environment needs :data:`ENVIRONMENT`. An account that the cluster does not know is an error
    on the standard error, although the exit code is 0 (seen with 22.05).
    """
    who = ",".join(users)
    return ["squeue", "--noheader", "--array", "--states=all", "-S", "i", "-u", who, "-o", _FORMAT]


def queued(text: str) -> list[Queued]:
    """Read what squeue printed; lines that are not its own are passed over."""
    return [row for line in text.splitlines() if (row := _row(line)) is not None]


def _row(line: str) -> Queued | None:
    fields = line.split("|", _FIELDS - 1)
    if len(fields) != _FIELDS:
        return None
    _shown, own, array, task, state, reason, starts, _ends, submitted, node, user, name = fields
    if not _DIGITS.fullmatch(own) or not _DIGITS.fullmatch(array):
        return None
    return Queued(
        job_id=int(own),
        array_id=int(array) or int(own),
        task=int(task) if _DIGITS.fullmatch(task) else None,
        state=state_word(state),
        reason=reason,
        starts_at=moment(starts),
        submitted_at=moment(submitted),
        node="" if node == "n/a" else node,
        user=user,
        name=name,
    )


def moment(text: str) -> float | None:
    """Read a moment, seconds since the epoch; None for ``N/A``, ``Unknown`` and the like."""
    return float(text) if _DIGITS.fullmatch(text) else None

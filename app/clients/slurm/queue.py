"""Jobs in the queue, by squeue(1): one question for all jobs of all accounts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from app.clients.slurm.rows import Job, moment, number, rows
from app.clients.slurm.states import state_word

ENVIRONMENT: Final = {
    "SLURM_TIME_FORMAT": "%s", "SQUEUE_FORMAT": None, "SQUEUE_FORMAT2": None,
    "SQUEUE_STATES": None, "SQUEUE_SORT": None, "SQUEUE_USERS": None, "SQUEUE_PARTITION": None,
    "SQUEUE_ACCOUNT": None, "SQUEUE_QOS": None, "SACCT_FORMAT": None, "SLURM_CLUSTERS": None,
}  # fmt: skip
"""Changes to the environment of all questions: an account's own settings change no answer."""

_FORMAT: Final = "%i|%A|%F|%K|%T|%r|%S|%e|%V|%B|%u|%j"
_FIELDS: Final = _FORMAT.count("|") + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued(Job):
    """A job, or a task of an array, as squeue tells it.

    Attributes:
        reason: Slurm's word for why it waits or ended.
        starts_at: When it began, or is expected to; seconds since the epoch, None if not known.
        node: Where its script runs; empty before.
    """

    reason: str
    starts_at: float | None
    node: str


def squeue(users: Iterable[str]) -> list[str]:
    """Return the command line that asks for all jobs of accounts, those in memory that ended too.

    Its environment needs :data:`ENVIRONMENT`. An account that the cluster does not know is an error
    on the standard error, although the exit code is 0 (seen with 22.05).
    """
    who = ",".join(users)
    return ["squeue", "--noheader", "--array", "--states=all", "-S", "i", "-u", who, "-o", _FORMAT]


def queued(text: str) -> list[Queued]:
    """Read what squeue printed; lines that are not its own are passed over."""
    return [row for fields in rows(text, _FIELDS) if (row := _row(fields)) is not None]


def _row(fields: Sequence[str]) -> Queued | None:
    _, own, array, task, state, reason, starts, _, submitted, node, user, name = fields
    job_id, array_id = number(own), number(array)
    if job_id is None or array_id is None:
        return None
    return Queued(
        job_id=job_id,
        array_id=array_id or job_id,
        task=number(task),
        state=state_word(state),
        reason=reason,
        starts_at=moment(starts),
        submitted_at=moment(submitted),
        node="" if node == "n/a" else node,
        user=user,
        name=name,
    )

"""What lines of squeue and of sacct have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.clients.slurm.states import Standing, standing

_NUMBER: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job, or a task of an array.

    Attributes:
        job_id: Its own id, which other jobs may have had before. One task of an array has that of
            the array.
        array_id: Of its array; its own where it is in none.
        task: Its number in the array; None where it is in none.
        state: Slurm's word.
        submitted_at: Seconds since the epoch, None where not known; anew for what was requeued.
        user: Name of its account.
        name: Its name.
    """

    job_id: int
    array_id: int
    task: int | None
    state: str
    submitted_at: float | None
    user: str
    name: str

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        return standing(self.state)


def rows(text: str, fields: int) -> Iterator[list[str]]:
    """Split lines into their fields; those with too few are not Slurm's, and passed over.

    Args:
        text: What was printed, with ``|`` between the fields.
        fields: How many there are; the last one may hold more of those signs.
    """
    for line in text.splitlines():
        found = line.split("|", fields - 1)
        if len(found) == fields:
            yield found


def number(text: str) -> int | None:
    """Read an id or a number of a task; None where it is none."""
    return int(text) if _NUMBER.fullmatch(text) else None


def moment(text: str) -> float | None:
    """Read a moment, seconds since the epoch; None for ``N/A``, ``Unknown`` and the like."""
    found = number(text)
    return None if found is None else float(found)

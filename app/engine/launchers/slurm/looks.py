"""What an agent saw in the folders of jobs, whatever somebody made of them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from app.clients.slurm.control import name_of
from app.domain import JSON, Usage
from app.engine.launchers.job_records import (
    Claim,
    claim_of,
    clean_text,
    is_moment,
    measured,
    parse_record,
    result_of,
)
from app.engine.launchers.shim.reading import Damaged
from app.engine.launchers.shim.records import USAGE_RECORD
from app.errors import UpstreamGarbled

_MOST_ID: Final = 10**18
_MOST_RECORDED: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Submission:
    """An attempt to submit a job.

    Attributes:
        mark: Name of the job in Slurm, or of its array.
        moment: When it began; seconds since the epoch, by the clock of the login node.
        task: Its number in an array; None where it is in none.
    """

    mark: str
    moment: float
    task: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What is in the folder of a job.

    Attributes:
        absent: There is no such folder, or nothing of a job in it.
        prepared: It is written down.
        claim: Who has it; None where nobody has.
        slurm: What the claim says of Slurm: ``job_id``, ``restarts``, ``node``, and the like.
        result: How it ended, as fields of a JobState; None as long as that is not recorded.
        ended_by_slurm: The result says that Slurm ended it, which may begin it again.
        submission: The last attempt to submit it.
        job_id: Its id in Slurm, or that of its array, as far as is known.
        fault: What is wrong with its records; empty where nothing is.
        size: Bytes of its frames.
    """

    absent: bool = False
    prepared: bool = False
    claim: Claim | None = None
    slurm: JSON = None
    result: dict[str, Any] | None = None
    ended_by_slurm: bool = False
    submission: Submission | None = None
    job_id: int | None = None
    usage: Usage | None = None
    cancel_asked: bool = False
    pause_asked: bool = False
    fault: str = ""
    size: int = 0

    @property
    def name(self) -> str | None:
        """How Slurm's commands call it; None where it has no id yet."""
        if self.job_id is None:
            return None
        return name_of(self.job_id, self.submission.task if self.submission else None)


def looks(told: JSON, data: bytes, jobs: int) -> list[tuple[Look | None, bytes]]:
    """Read an answer to ``look``.

    Args:
        told: Its result.
        data: Its bytes.
        jobs: How many were asked for.

    Returns:
        For each job what there is, and what its frames grew by; None where it could not be looked
        at now.

    Raises:
        UpstreamGarbled: It is no such answer.
    """
    entries = told.get("jobs") if isinstance(told, dict) else None
    if not isinstance(entries, list) or len(entries) != jobs:
        raise UpstreamGarbled("The login node of the cluster tells no states.")
    found: list[tuple[Look | None, bytes]] = []
    begin = 0
    for entry in entries:
        growth = entry.get("growth", 0) if isinstance(entry, dict) else 0
        growth = growth if type(growth) is int and growth > 0 else 0
        found.append((_look(entry), data[begin : begin + growth]))
        begin += growth
    return found


def _look(entry: JSON) -> Look | None:
    if not isinstance(entry, dict) or "error" in entry:
        return None
    if entry.get("absent") is True:
        return Look(absent=True)
    faults: list[str] = []
    claim, result, submission, job = (
        _record(entry, name, faults) for name in ("claim", "exit", "submission", "job")
    )
    size = entry.get("size")
    read: dict[str, Any] = {"claim": None, "result": None}
    for name, content, of in (("claim", claim, claim_of), ("result", result, result_of)):
        try:
            read[name] = None if content is None else of(content)
        except Damaged as exc:
            faults.append(str(exc))
    return Look(
        prepared=bool(entry.get("prepared")),
        slurm=(claim or {}).get("slurm"),
        ended_by_slurm=(result or {}).get("ended_by_slurm") is True,
        submission=_submission(submission),
        job_id=_job_id(job),
        usage=_usage(entry.get("usage")),
        cancel_asked=bool(entry.get("cancel")),
        pause_asked=bool(entry.get("pause")),
        fault=clean_text("; ".join(faults)),
        size=size if type(size) is int and size > 0 else 0,
        **read,
    )


def _record(entry: dict[str, JSON], name: str, faults: list[str]) -> dict[str, Any] | None:
    told = entry.get(name)
    if told is None:
        return None
    if isinstance(told, str) and len(told) <= _MOST_RECORDED:
        try:
            return parse_record(f"{name}.json", told.encode("utf-8", "replace"))
        except Damaged as exc:
            faults.append(str(exc))
            return None
    why = told.get("damaged") if isinstance(told, dict) else None
    faults.append(why if isinstance(why, str) else f"{name} is damaged")
    return None


def _submission(content: dict[str, Any] | None) -> Submission | None:
    if content is None:
        return None
    mark, moment = content.get("mark"), content.get("moment")
    if not isinstance(mark, str) or moment is None or not is_moment(moment):
        return None
    task = content.get("task")
    return Submission(clean_text(mark), float(moment), task if type(task) is int else None)


def _job_id(content: dict[str, Any] | None) -> int | None:
    job_id = (content or {}).get("id")
    return job_id if type(job_id) is int and 0 < job_id < _MOST_ID else None


def _usage(told: JSON) -> Usage | None:
    if not isinstance(told, str) or len(told) > 2 * USAGE_RECORD.size:
        return None
    with suppress(ValueError):
        return measured(bytes.fromhex(told))
    return None

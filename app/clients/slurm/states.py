"""States and reasons of jobs, as squeue and sacct spell them (squeue(1), "JOB STATE CODES")."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Standing(StrEnum):
    """Where a job stands, as far as it matters to whoever waits for it."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPED = "stopped"
    """It was suspended or stopped, and keeps what it was given."""
    ENDED = "ended"
    UNKNOWN = "unknown"
    """A word that is not known here: a newer Slurm may have it."""


_STANDINGS: Final[Mapping[str, Standing]] = {
    **dict.fromkeys(
        (
            *("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"),
            "RESV_DEL_HOLD",
        ),
        Standing.QUEUED,
    ),
    **dict.fromkeys(
        ("RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT"), Standing.RUNNING
    ),
    **dict.fromkeys(("SUSPENDED", "STOPPED"), Standing.STOPPED),
    **dict.fromkeys(
        (
            *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
            *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT", "LAUNCH_FAILED"),
        ),
        Standing.ENDED,
    ),
}

_ENDS: Final[Mapping[str, str]] = {
    "BOOT_FAIL": "its node could not be started",
    "DEADLINE": "it could not end by its deadline",
    "LAUNCH_FAILED": "it could not be begun on its node",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "it took more memory than it was given",
    "PREEMPTED": "it had to make room for a job of higher priority",
    "REVOKED": "another cluster has it",
    "TIMEOUT": "it reached its time limit",
}
"""Why a job ended which neither succeeded nor failed by itself, in words for its owner."""

_WAITS: Final[Mapping[str, str]] = {
    "AssocGrpCpuLimit": "its account has as many processors as it may",
    "AssocGrpMemLimit": "its account has as much memory as it may",
    "AssocMaxJobsLimit": "its account has as many jobs as it may",
    "BeginTime": "it may not begin yet",
    "Dependency": "it waits for another job",
    "InvalidAccount": "its account is none that the cluster knows",
    "InvalidQOS": "its quality of service is none that the cluster knows",
    "JobArrayTaskLimit": "as many of its array run as may at the same time",
    "JobHeldAdmin": "an administrator of the cluster holds it back",
    "JobHeldUser": "it is held back until it is released",
    "Licenses": "it waits for licences",
    "NodeDown": "a node that it needs is down",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition takes no jobs",
    "Priority": "jobs of higher priority wait, too",
    "QOSMaxCpuPerUserLimit": "its owner has as many processors as they may",
    "QOSMaxJobsPerUserLimit": "its owner has as many jobs as they may",
    "ReqNodeNotAvail": "a node that it needs is not available",
    "Reservation": "it waits for its reservation",
    "Resources": "it waits for nodes to become free",
}

_NEVER: Final[Mapping[str, str]] = {
    "BadConstraints": "no node has what it asks for",
    "DependencyNeverSatisfied": "it needs a job that did not end as it should",
    "PartitionConfig": "its partition does not give what it asks for",
    "PartitionNodeLimit": "it asks for more nodes than its partition gives",
    "PartitionTimeLimit": "it asks for more time than its partition gives",
}
"""Reasons with which a job never begins unless somebody changes it or the cluster."""

_NO_REASON: Final = frozenset({"", "None", "(null)"})


def state_word(text: str) -> str:
    """Return the state of a field that may hold more, such as ``CANCELLED by 1001``."""
    words = text.split()
    return words[0].rstrip("+").upper() if words else ""


def standing(state: str) -> Standing:
    """Return where a job with a state stands.

    Args:
        state: As :func:`state_word` returns it.
    """
    return _STANDINGS.get(state, Standing.UNKNOWN)


def why_ended(state: str, reason: str = "") -> str | None:
    """Return why a job ended, in words for its owner; None where its exit code says it.

    Args:
        state: As :func:`state_word` returns it.
        reason: Slurm's word beside it.
    """
    if state == "FAILED" and reason in _NEVER:
        return _NEVER[reason]
    return _ENDS.get(state)


def why_waiting(reason: str) -> str | None:
    """Return why a job waits, in words for its owner; Slurm's own word where it is not known here.

    Args:
        reason: As squeue has it, such as ``Priority`` or ``(ReqNodeNotAvail, May be later)``.

    Returns:
        None where Slurm tells no reason.
    """
    word, comma, more = reason.strip("()").partition(",")
    word = word.strip()
    if word in _NO_REASON:
        return None
    if word in _NEVER:
        return f"{_NEVER[word]}, so it never begins by itself ({word})"
    words = _WAITS.get(word)
    if words is None:
        return f"the cluster says {word}"
    return f"{words} ({word}{comma}{more})"


def never_begins(reason: str) -> bool:
    """Return whether a job that waits for a reason never begins by itself."""
    return reason.strip("()").partition(",")[0].strip() in _NEVER

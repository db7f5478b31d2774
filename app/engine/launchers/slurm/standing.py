"""Where a job stands, by its shim's records, and by Slurm where these say nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from app.clients.slurm.accounting import Accounted
from app.clients.slurm.queue import Queued
from app.clients.slurm.states import Standing, why_ended, why_waiting
from app.domain import JSON
from app.engine.launchers.base import JobPhase, JobState
from app.engine.launchers.slurm.looks import Look
from app.engine.launchers.slurm.scheduler import MISSES, Facts

_CANCELLED: Final = "CANCELLED"
_BY_SIGTERM: Final = 143
LATE_SECONDS: Final = 65.0
"""How long records may be late that another machine wrote: an NFS client keeps what it knows of a
folder for up to a minute."""
_ACCOUNTING_SECONDS: Final = 90.0
"""How long the accounting may be late."""
_MEMORY_SECONDS: Final = 600.0
"""How long a job must be missing from the queue of a cluster without accounting: such a cluster
forgets what has ended after MinJobAge, which is 300 s by default."""


def state_of(
    look: Look,
    facts: Facts,
    *,
    requeue: bool = False,
    process: JSON = None,
    late_seconds: float = LATE_SECONDS,
) -> JobState:
    """Return where a job stands.

    Args:
        look: What is in its folder.
        facts: What Slurm says of it; of no use where the records say how it ended.
        requeue: Slurm may begin again what it ended.
        process: What an earlier state said of it.
        late_seconds: How long records may be late.
    """
    if look.absent:
        return JobState(JobPhase.ABSENT)
    state = _begin(look, process)
    if look.result is not None and not look.ended_by_slurm:
        return _exited(state, look.result)
    if look.result is not None:
        return _ended_by_slurm(look, facts, state, requeue=requeue, late_seconds=late_seconds)
    if look.claim is None and look.job_id is None:
        return _unsubmitted(look, state)
    known = _running if look.claim is not None else _queued
    return known(look, facts, state, late_seconds)


def _exited(state: JobState, result: Mapping[str, Any]) -> JobState:
    asked = {"cancel_asked": False, "pause_asked": False}
    return replace(state, phase=JobPhase.EXITED, **{**result, **asked})


def _ended_by_slurm(
    look: Look, facts: Facts, state: JobState, *, requeue: bool, late_seconds: float
) -> JobState:
    """Return the state of a job whose result says that Slurm ended it, and Slurm may say why."""
    result = look.result or {}
    ended = _ended(facts)
    if ended is not None:
        word, reason = ended
        asked_for = word == _CANCELLED and look.cancel_asked
        return _exited(state, {**result, "cancelled": asked_for, "reason": reason})
    row = facts.queued
    if requeue and row is not None and row.standing is Standing.QUEUED and facts.is_news:
        why = _waits(row, "the cluster put it back into its queue")
        return replace(state, phase=JobPhase.QUEUED, reason=why)
    # Slurm takes a while to put its node in order; and there may be nobody to ask.
    since = time.time() - (result.get("finished_at") or 0.0)
    if since > late_seconds and not (requeue and row is not None):
        return _exited(state, result)
    return state


def _unsubmitted(look: Look, state: JobState) -> JobState:
    """Return the state of a job that Slurm has not taken, as far as the records know."""
    if look.submission is not None:
        reason = "it is being found out whether the cluster has it"
        return replace(state, phase=JobPhase.QUEUED, reason=reason)
    if look.fault:
        return replace(state, phase=JobPhase.LOST, reason=look.fault)
    return replace(state, phase=JobPhase.PREPARED if look.prepared else JobPhase.ABSENT)


def _begin(look: Look, process: JSON) -> JobState:
    """Return what is known of any job that has a folder."""
    holder = look.claim.process if look.claim else None
    return JobState(
        JobPhase.RUNNING,
        node=holder.hostname if holder else None,
        process=process if look.name is None else {"job": look.name},
        pause_asked=look.pause_asked,
        cancel_asked=look.cancel_asked,
        output_end=look.size if look.claim else None,
        started_at=look.claim.started_at if look.claim else None,
        usage=look.usage,
    )


def _running(look: Look, facts: Facts, state: JobState, late_seconds: float) -> JobState:
    """Return the state of a job that has a claim and no result."""
    if look.claim is not None and look.claim.process is None:
        lost = replace(state, phase=JobPhase.LOST, reason="it was never begun")
        return replace(lost, cancelled=look.claim.cancelled)
    row = facts.queued
    if row is not None and row.standing is Standing.QUEUED and facts.is_news:
        reason = _waits(row, "it was taken back into the queue, and begins anew")
        return replace(state, phase=JobPhase.QUEUED, reason=reason)
    ended = _ended(facts)
    # What its shim wrote last may be on its way here.
    if ended is None or facts.over_seconds < late_seconds:
        return state
    word, reason = ended
    if word == _CANCELLED and look.cancel_asked:
        return _was_cancelled(state)
    return replace(state, phase=JobPhase.LOST, reason=reason)


def _queued(look: Look, facts: Facts, state: JobState, late_seconds: float) -> JobState:
    """Return the state of a job that Slurm has taken and that nobody has begun, as far as seen."""
    waiting = replace(state, phase=JobPhase.QUEUED)
    row = facts.queued
    if row is not None and row.standing is Standing.QUEUED:
        return replace(waiting, reason=_waits(row))
    ended = _ended(facts)
    if ended is None:
        return replace(waiting, reason="its node begins with it" if row else None)
    word, reason = ended
    if _has_begun(facts) and facts.over_seconds < late_seconds:
        return replace(waiting, reason="its records are on their way")
    if word == _CANCELLED and look.cancel_asked:
        return _was_cancelled(state)
    return replace(state, phase=JobPhase.LOST, reason=f"it was not begun: {reason}")


def _has_begun(facts: Facts) -> bool:
    """Whether a job that has ended had a node before."""
    row, told = facts.queued, facts.accounted
    return bool(row.node if row is not None else told is None or told.nodes)


def _was_cancelled(state: JobState) -> JobState:
    return replace(state, phase=JobPhase.EXITED, exit_code=_BY_SIGTERM, cancelled=True)


def _ended(facts: Facts) -> tuple[str, str] | None:
    """Return Slurm's word for the end of a job, and why in words; None where it has no end."""
    row, told = facts.queued, facts.accounted
    if row is not None:
        return (row.state, _why(row, row.reason)) if row.standing is Standing.ENDED else None
    if told is not None and told.standing is Standing.ENDED:
        return told.state, _why(told, "")
    if facts.misses < MISSES:
        return None
    # The accounting is late by seconds; and a cluster without one forgets what has ended.
    patience = _ACCOUNTING_SECONDS if facts.has_accounting else _MEMORY_SECONDS
    if told is not None or facts.over_seconds < patience:
        return None
    return "", "the cluster does not know it any more"


def _why(row: Queued | Accounted, reason: str) -> str:
    if row.state == _CANCELLED:
        return "it was cancelled on the cluster"
    known = why_ended(row.state, reason)
    if known is not None:
        return known
    if isinstance(row, Accounted) and row.unbegun:
        return "its script could not be begun in its folder"
    return f"it ended on the cluster as {row.state}, and left no result"


def _waits(row: Queued, before: str = "") -> str | None:
    parts = [before, why_waiting(row.reason) or ""]
    if row.starts_at is not None and row.starts_at > time.time():
        moment = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(row.starts_at))
        parts.append(f"it is expected to begin about {moment}")
    return "; ".join(filter(None, parts)) or None

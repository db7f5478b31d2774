"""Where a job stands by what Slurm said of it. Texts called 22.05 were taken from a real cluster;
those called made-up were written after the manual pages of 23.11 and 24.05, and recorded nowhere:
a cluster of the tests has no jobs that run out of memory and no nodes that fail."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.clients.slurm.accounting import accounted
from app.clients.slurm.queue import queued
from app.engine.launchers.base import JobPhase
from app.engine.launchers.job_records import Claim, Process
from app.engine.launchers.slurm.looks import Look, Submission
from app.engine.launchers.slurm.scheduler import MISSES, Facts
from app.engine.launchers.slurm.standing import state_of

RECORDED = Path(__file__).parents[3] / "clients/slurm/recorded"
LONG_AGO = 1000.0
"""Seconds after which nothing is on its way any more."""


def in_queue(name, text, *, over=LONG_AGO):
    """Return the facts of a job, or of one task of an array as ``3_1``, in a text of squeue."""
    rows = queued((RECORDED / f"{text}.txt").read_text(encoding="utf-8"))
    array, _, task = name.partition("_")
    row = next(
        row
        for row in rows
        if (row.name == name if name.startswith("slw") else row.array_id == int(array))
        and (not task or row.task == int(task))
    )
    return Facts(queued=row, over_seconds=over)


def in_accounting(name, text):
    rows = accounted((RECORDED / f"{text}.txt").read_text(encoding="utf-8"))
    row = next(row for row in rows if row.name == name)
    return Facts(accounted=row, misses=MISSES, over_seconds=LONG_AGO, has_accounting=True)


def submitted(**more):
    return Look(prepared=True, submission=Submission("slw-0123", 1.0), job_id=7, **more)


def claimed(**more):
    return submitted(claim=Claim(Process(1, 1, "boot", "node1"), started_at=2.0), **more)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("2", "held back until it is released (JobHeldUser)"),
        ("3_4", "as many of its array run as may"),
        ("4", "waits for another job (Dependency)"),
        ("5", "it may not begin yet (BeginTime)"),
        ("14", "so it never begins by itself (PartitionConfig)"),
        ("19", "so it never begins by itself (PartitionTimeLimit)"),
    ],
)
def test_a_job_that_waits_says_why(job, words):
    state = state_of(submitted(), in_queue(job, "squeue-22.05-early"))
    assert state.phase is JobPhase.QUEUED
    assert words in state.reason


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("slw-nodes", "a node that it needs is not available (ReqNodeNotAvail, Unavail"),
        ("slw-never", "never begins by itself (DependencyNeverSatisfied)"),
        ("slw-reservation", "the cluster says ReservationDeleted"),
    ],
)
def test_a_job_of_a_later_slurm_that_waits_says_why(job, words):
    state = state_of(submitted(), in_queue(job, "squeue-made-up-later"))
    assert state.phase is JobPhase.QUEUED
    assert words in state.reason


@pytest.mark.parametrize(
    ("job", "text", "reason"),
    [
        ("8", "squeue-22.05-late", "it reached its time limit"),
        ("slw-oom", "squeue-made-up-later", "it took more memory than it was given"),
        ("slw-node", "squeue-made-up-later", "its node failed"),
        (
            "slw-preempted",
            "squeue-made-up-later",
            "it had to make room for a job of higher priority",
        ),
        ("slw-boot", "squeue-made-up-later", "its node could not be started"),
        ("slw-time", "squeue-made-up-later", "it reached its time limit"),
        ("slw-cancelled", "squeue-made-up-later", "it was cancelled on the cluster"),
        (
            "7",
            "squeue-22.05-late",
            "it ended on the cluster as FAILED, and left no result",
        ),
    ],
)
def test_a_job_that_slurm_ended_without_a_result_is_lost_and_says_why(job, text, reason):
    state = state_of(claimed(), in_queue(job, text))
    assert (state.phase, state.reason) == (JobPhase.LOST, reason)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ("slw-a", "it was cancelled on the cluster"),
        ("slw-b", "it took more memory than it was given"),
        ("slw-c", "its node failed"),
        ("slw-d", "it reached its time limit"),
        ("slw-e", "it had to make room for a job of higher priority"),
    ],
)
def test_the_accounting_says_why_where_the_queue_has_forgotten(job, reason):
    state = state_of(claimed(), in_accounting(job, "sacct-made-up"))
    assert (state.phase, state.reason) == (JobPhase.LOST, reason)


def test_records_that_may_be_on_their_way_are_waited_for():
    facts = in_queue("slw-oom", "squeue-made-up-later", over=1.0)
    assert state_of(claimed(), facts).phase is JobPhase.RUNNING
    assert state_of(submitted(), facts).phase is JobPhase.QUEUED


def test_what_was_asked_for_is_no_loss():
    facts = in_queue("1", "squeue-22.05-late")
    state = state_of(claimed(cancel_asked=True), facts)
    assert (state.phase, state.cancelled) == (JobPhase.EXITED, True)
    state = state_of(claimed(), facts)
    assert (state.phase, state.reason) == (JobPhase.LOST, "it was cancelled on the cluster")


def test_a_job_that_never_began_for_its_deadline_says_so():
    state = state_of(submitted(), in_queue("21", "squeue-22.05-early"))
    assert state.phase is JobPhase.LOST
    assert state.reason == "it was not begun: it could not end by its deadline"


@pytest.mark.parametrize(
    ("job", "text"), [("3_1", "squeue-22.05-late"), ("slw-requeued", "squeue-made-up-later")]
)
def test_a_job_that_was_put_back_waits_again(job, text):
    state = state_of(claimed(), in_queue(job, text))
    assert state.phase is JobPhase.QUEUED
    assert "taken back into the queue" in state.reason


def test_a_job_that_has_begun_since_the_queue_was_asked_was_not_taken_back():
    facts = replace(in_queue("3_1", "squeue-22.05-late"), is_news=False)
    assert state_of(claimed(), facts).phase is JobPhase.RUNNING


def test_absence_from_the_queue_is_no_end_until_the_accounting_had_its_time():
    def phase(**facts):
        return state_of(claimed(), Facts(**facts)).phase

    assert phase(misses=1, over_seconds=LONG_AGO) is JobPhase.RUNNING
    assert phase(misses=MISSES, over_seconds=60, has_accounting=True) is JobPhase.RUNNING
    assert phase(misses=MISSES, over_seconds=300) is JobPhase.RUNNING
    assert phase(misses=MISSES, over_seconds=100, has_accounting=True) is JobPhase.LOST
    assert phase(misses=MISSES, over_seconds=LONG_AGO) is JobPhase.LOST

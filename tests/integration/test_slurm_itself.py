"""The words of Slurm, said to a real one."""

from __future__ import annotations

import time
from typing import Any

from kit.patience import await_that
from kit.servers.slurm import SlurmCluster

from app.clients.slurm.accounting import Accounted, accounted, sacct
from app.clients.slurm.queue import ENVIRONMENT, Queued, queued, squeue
from app.clients.slurm.states import Standing, never_begins
from app.clients.slurm.submission import Outcome, Request, Submitted, sbatch, submitted
from app.job_resources import Resources

USER = "slwuser1"
ENV = {name: value for name, value in ENVIRONMENT.items() if value is not None}


def submit(
    cluster: SlurmCluster, script: str, name: str, *,
    array: int | None = None, most_at_once: int | None = None, **asked: Any,
) -> Submitted:  # fmt: skip
    request = Request(name, resources=Resources(**asked), array=array, most_at_once=most_at_once)
    ran = cluster.run(*sbatch(request), user=USER, stdin=f"#!/bin/sh\n{script}\n")
    return submitted(ran.status, ran.stdout, ran.stderr)


def queue(cluster: SlurmCluster) -> dict[str, list[Queued]]:
    ran = cluster.run(*squeue([USER, "slwuser2"]), user=USER, env=ENV)
    assert (ran.status, ran.stderr) == (0, "")
    found: dict[str, list[Queued]] = {}
    for row in queued(ran.stdout):
        found.setdefault(row.name, []).append(row)
    return found


def ended(cluster: SlurmCluster, name: str, since: float) -> Accounted | None:
    ran = cluster.run(*sacct(since, names=[name]), user=USER, env=ENV)
    assert ran.status == 0, ran.stderr
    rows = [row for row in accounted(ran.stdout) if row.standing is Standing.ENDED]
    return rows[0] if rows else None


def test_what_is_asked_for_is_what_jobs_have(slurm: SlurmCluster) -> None:
    since = time.time() - 5
    first = submit(
        slurm, "exit 3", name="slw-first", cpus=2, memory_bytes=200 * 1024**2, time_seconds=61,
        nodes=1, tasks=2, tasks_per_node=2, partition="main", extra=("--nice=77",),
    )  # fmt: skip
    assert first.outcome is Outcome.SUBMITTED
    told = slurm.admin("scontrol", "show", "job", "-o", str(first.job_id))
    for each in ("JobName=slw-first", "Comment=slw-first", "NumCPUs=4", "CPUs/Task=2",
                 "TimeLimit=00:02:00", "MinMemoryNode=200M", "Nice=77"):  # fmt: skip
        assert each in told
    row = await_that(lambda: ended(slurm, "slw-first", since))
    assert (row.job_id, row.exit_code, row.user) == (first.job_id, 3, USER)
    later = (row.finished_at or 0.0) + 1
    await_that(lambda: time.time() > later + 1)  # Slurm refuses a window that is yet to come
    assert ended(slurm, "slw-first", later) is None


def test_a_queue_tells_what_waits_and_why(slurm: SlurmCluster) -> None:
    submit(slurm, "sleep 60", name="slw-array", array=4, most_at_once=1)
    submit(slurm, "sleep 60", name="slw-held", extra=("--hold",))
    submit(slurm, "sleep 60", name="slw-long", time_seconds=999 * 60)

    def seen() -> dict[str, list[Queued]] | None:
        rows = queue(slurm)
        running = [r for r in rows.get("slw-array", ()) if r.standing is Standing.RUNNING]
        return rows if len(running) == 1 else None

    rows = await_that(seen)
    assert sorted(row.task or 0 for row in rows["slw-array"]) == [0, 1, 2, 3]
    assert [row.reason for row in rows["slw-held"]] == ["JobHeldUser"]
    assert [never_begins(row.reason) for row in rows["slw-long"]] == [True]
    assert {row.user for each in rows.values() for row in each} == {USER}


def test_what_slurm_refuses_is_refused_for_good(slurm: SlurmCluster) -> None:
    for asked in ({"partition": "nope"}, {"constraint": "nope"}, {"extra": ("--bad",)},
                  {"gpus": 9}, {"memory_bytes": 900 * 1024**3}, {"array": 1_000_000}):  # fmt: skip
        found = submit(slurm, "true", name="slw-no", **asked)
        assert found.outcome is Outcome.REFUSED, (asked, found)
        assert found.reason

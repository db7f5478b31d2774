"""The launcher ``slurm`` and a real cluster."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest
from kit.cluster_jobs import EXECUTIONS, begun, end, job, many, state_of, texts
from kit.patience import await_that

from app.engine.launchers.base import JobPhase
from app.engine.launchers.slurm.submitter import mark_of
from app.errors import UpstreamError
from app.job_resources import Resources


@pytest.fixture
def launcher(slurm, launcher_of):
    return launcher_of(slurm)


def test_a_command_runs_as_a_job(launcher):
    folder = begun(launcher, "bash", "-c", "echo $SLURM_JOB_ID; echo done=1 > $SLIPWAY_OUTPUT")
    state = end(launcher, folder)
    assert (state.phase, state.exit_code, state.reason) == (JobPhase.EXITED, 0, None), state
    assert texts(launcher, folder)[0].isdigit()
    assert launcher.outputs(folder) == {"done": "1"}
    assert state.node


def test_jobs_that_begin_together_are_one_array(launcher, slurm):
    script = "echo $N $SLURM_ARRAY_TASK_ID $SLURM_ARRAY_JOB_ID"
    folders = many(launcher, 5, "bash", "-c", script)
    states = [end(launcher, folder) for folder in folders]
    assert [state.exit_code for state in states] == [0] * 5
    printed = [texts(launcher, folder)[0].split() for folder in folders]
    assert [line[:2] for line in printed] == [[str(n), str(n)] for n in range(5)]
    assert len({line[2] for line in printed}) == 1


def test_what_was_submitted_is_not_submitted_again(launcher, slurm):
    many(launcher, 3, "bash", "-c", "echo once")
    jobs = [
        job(launcher, "bash", "-c", "echo once", attempt=n, env={"N": str(n)}) for n in range(4)
    ]
    assert launcher.prepare_many(jobs) == {}
    launcher.start_many(jobs)
    for each in jobs:
        assert end(launcher, each.folder).exit_code == 0
        assert texts(launcher, each.folder) == ["once"]


def test_one_task_of_an_array_is_cancelled(launcher):
    folders = many(launcher, 2, "bash", "-c", "echo up; exec sleep 300")
    await_that(lambda: all(texts(launcher, folder) for folder in folders), "both run")
    launcher.cancel(folders[0])
    assert end(launcher, folders[0]).cancelled
    assert state_of(launcher, folders[1]).phase is JobPhase.RUNNING
    launcher.cancel(folders[1])
    assert end(launcher, folders[1]).cancelled


def test_a_submission_that_is_refused_is_an_end_with_the_words_of_slurm(launcher):
    folder = begun(launcher, "true", resources=Resources(partition="none"))
    state = end(launcher, folder)
    assert (state.phase, state.exit_code) == (JobPhase.EXITED, 126)
    assert "the cluster refused it: invalid partition specified: none" in state.reason


def test_what_the_owner_cancels_on_the_cluster_is_told_as_such(launcher, slurm):
    folder = begun(launcher, "bash", "-c", "echo up; sleep 300")
    await_that(lambda: texts(launcher, folder), "it runs")
    slurm.run("scancel", state_of(launcher, folder).process["job"])
    state = end(launcher, folder)
    assert not state.cancelled
    assert "cancelled on the cluster" in state.reason


def test_a_queued_job_says_why_it_waits_and_is_cancelled(launcher, slurm):
    slurm.admin(
        "scontrol", "update", f"nodename={','.join(slurm.nodes)}", "state=drain", "reason=x"
    )
    folder = begun(launcher, "true")
    waits = await_that(
        lambda: (state := state_of(launcher, folder)) and state.reason and state, "it says why"
    )
    assert waits.phase is JobPhase.QUEUED
    assert "(" in waits.reason
    launcher.cancel(folder)
    state = end(launcher, folder)
    assert state.cancelled
    assert state.exit_code == 143


def test_a_queued_job_is_held_and_released(launcher, slurm):
    slurm.admin(
        "scontrol", "update", f"nodename={','.join(slurm.nodes)}", "state=drain", "reason=x"
    )
    folder = begun(launcher, "true")
    launcher.pause(folder)
    assert state_of(launcher, folder).pause_asked
    slurm.admin("scontrol", "update", f"nodename={','.join(slurm.nodes)}", "state=resume")
    await_that(lambda: "held back" in (state_of(launcher, folder).reason or ""), "it is held")
    launcher.resume(folder)
    assert end(launcher, folder).exit_code == 0


@pytest.mark.parametrize("daemon", ["slurmctld", "slurmdbd", "slurmd", "sshd"])
def test_a_daemon_that_is_away_delays_and_changes_nothing(launcher, slurm, daemon):
    folder = begun(launcher, "bash", "-c", "for i in 1 2 3 4; do echo $i; sleep 1; done")
    await_that(lambda: texts(launcher, folder), "it runs")
    daemons = slurm.nodes if daemon == "slurmd" else [daemon]
    for each in daemons:
        slurm.stop(each)
    try:
        state = state_of(launcher, folder)
        assert state is None or state.phase in (JobPhase.RUNNING, JobPhase.EXITED)
    except UpstreamError:
        assert daemon == "sshd"
    for each in daemons:
        slurm.start(each)
    state = end(launcher, folder)
    assert (state.exit_code, texts(launcher, folder)) == (0, ["1", "2", "3", "4"])


def test_a_submission_that_reaches_no_controller_is_found_out(launcher, slurm):
    launcher.place(launcher.home, "ada")
    launcher.make_work_folder(launcher.home / "work", {}, begun=False)
    made = job(launcher, "echo", "once")
    slurm.stop("slurmctld")
    launcher.start(made)
    assert await_that(lambda: state_of(launcher, made.folder), "it is looked at").phase is (
        JobPhase.QUEUED
    )
    slurm.start("slurmctld")

    def prepared_again():
        state = state_of(launcher, made.folder)
        return state and state.phase is JobPhase.PREPARED

    await_that(prepared_again, "it surely did not arrive")
    launcher.start(made)
    assert end(launcher, made.folder).exit_code == 0
    assert texts(launcher, made.folder) == ["once"]


def test_what_is_killed_with_its_supervisor_ends_with_a_reason(launcher, slurm):
    folder = begun(launcher, "bash", "-c", "echo up; sleep 300")
    await_that(lambda: texts(launcher, folder), "it runs")
    number = state_of(launcher, folder).process["job"]
    slurm.admin("scancel", "--signal=KILL", "--full", number)
    state = end(launcher, folder)
    assert state.exit_code != 0
    assert "the cluster" in state.reason


SLOW_SBATCH = """#!/bin/bash
{before}
touch ~/asked
/usr/bin/sbatch "$@"
code=$?
{after}
exit $code
"""


@pytest.mark.parametrize(("before", "after"), [("sleep 2", ""), ("", "sleep 2")])
def test_a_connection_that_is_cut_within_sbatch_doubles_nothing(launcher, slurm, before, after):
    home = slurm.machine.home(slurm.users[0])
    (home / "bin").mkdir(exist_ok=True)
    wrapper = home / "bin" / "sbatch"
    wrapper.write_text(SLOW_SBATCH.format(before=before, after=after))
    wrapper.chmod(0o755)
    (home / "asked").unlink(missing_ok=True)
    (home / ".bashrc").write_text("export PATH=$HOME/bin:$PATH\n")
    made = job(launcher, "echo", "once")
    try:
        launcher.place(launcher.home, "ada")
        launcher.make_work_folder(launcher.home / "work", {}, begun=False)
        launcher.prepare(made)
        starting = threading.Thread(target=suppressing, args=(launcher.start, made))
        starting.start()
        time.sleep(0.5)
        slurm.machine.run("pkill", "-9", "-f", f"sshd: {slurm.users[0]}")
        starting.join()
        wrapper.unlink()

        def over():
            try:
                state = state_of(launcher, made.folder)
            except UpstreamError:
                return None
            if state is not None and state.phase is JobPhase.PREPARED:
                launcher.start(made)
            return state if state and state.phase is JobPhase.EXITED else None

        assert await_that(over, "the job has ended").exit_code == 0
        assert texts(launcher, made.folder) == ["once"]
        name = f"--name={mark_of([made.folder.relative_to(EXECUTIONS)])}"
        jobs = slurm.admin("sacct", "-a", "-X", "-n", "-P", "-o", "jobid", name).split()
        assert len(jobs) <= 1
    finally:
        (home / ".bashrc").unlink()


def suppressing(call, *arguments):
    with suppress(UpstreamError):
        call(*arguments)


@pytest.fixture
def with_admin(slurm, launcher_of):
    return launcher_of(slurm, admin={"user": slurm.admin_user})


def test_an_administrator_suspends_jobs(with_admin, slurm):
    folder = begun(with_admin, "bash", "-c", "for i in $(seq 100); do echo $i; sleep 0.1; done")
    await_that(lambda: texts(with_admin, folder), "it runs")
    number = state_of(with_admin, folder).process["job"]
    with_admin.pause(folder)
    assert slurm.admin("squeue", "-h", "-j", number, "-o", "%T").strip() == "SUSPENDED"
    await_that(lambda: slurm.process_states(int(number)) == {"T"}, "its node has heard of it")
    assert state_of(with_admin, folder).pause_asked
    with_admin.resume(folder)
    assert end(with_admin, folder).exit_code == 0
    assert texts(with_admin, folder) == [str(i) for i in range(1, 101)]


def test_a_parallel_program_is_begun_by_srun(launcher):
    script = "srun --ntasks=3 bash -c 'echo rank $SLURM_PROCID of $SLURM_NTASKS'"
    folder = begun(launcher, "bash", "-c", script, resources=Resources(tasks=3))
    assert end(launcher, folder).exit_code == 0
    assert sorted(texts(launcher, folder)) == [f"rank {rank} of 3" for rank in range(3)]


def test_files_of_a_command_have_the_umask_of_the_account(launcher, slurm):
    home = slurm.machine.home(slurm.users[0])
    (home / ".bashrc").write_text("umask 027\n")
    try:
        folder = begun(launcher, "bash", "-c", "umask; touch file; stat -c %a file")
        assert end(launcher, folder).exit_code == 0
        assert texts(launcher, folder) == ["0027", "640"]
    finally:
        (home / ".bashrc").unlink()

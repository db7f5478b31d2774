"""What broke other front ends of Slurm, tried on real clusters."""

from __future__ import annotations

import uuid

import pytest
from kit.cluster_jobs import EXECUTIONS, begun, drain, end, many, state_of, texts
from kit.patience import await_that

from app.engine.launchers.base import JobPhase
from app.engine.launchers.slurm.submitter import mark_of
from app.errors import SlipwayError

WAITS = (JobPhase.QUEUED, JobPhase.RUNNING)
TALKS = r"""
printf 'Submitted batch job 7\n12345\n\033[31mWelcome\033[0m\r no end'
printf 'Submitted batch job 8\n' >&2
export LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8
"""


def strangers(cluster, count, *options, user="slwuser2"):
    """Submit jobs of somebody else; return their numbers."""
    command = ("sbatch", "--parsable", *options, "--wrap", "true")
    return [cluster.run(*command, user=user).stdout.strip() for _ in range(count)]


def empty(cluster):
    return not cluster.admin("squeue", "-h", "-t", "all").strip()


class TestNumbersThatComeAgain:
    @pytest.fixture
    def cluster(self, new_slurm):
        return new_slurm(nodes=1, first_job_id=5, max_job_id=9, min_job_age=2)

    def test_a_job_is_not_the_one_that_had_its_number(self, cluster, launcher_of):
        assert strangers(cluster, 4) == ["5", "6", "7", "8"]
        strangers(cluster, 1, user="slwuser1")
        await_that(lambda: empty(cluster), "the queue forgets them")
        launcher = launcher_of(cluster)
        folder = begun(launcher, "bash", "-c", "echo $SLURM_JOB_ID; sleep 2; exit 3")
        phases = set()

        def has_ended():
            state = state_of(launcher, folder)
            phases.add(state and state.phase)
            return state and state.phase is JobPhase.EXITED and state

        assert await_that(has_ended, "it ends").exit_code == 3
        assert phases <= {*WAITS, JobPhase.EXITED}
        assert texts(launcher, folder)[0] in {"5", "6", "7", "8", "9"}

    def test_a_cancel_leaves_the_next_job_of_a_number_alone(self, cluster, launcher_of):
        drain(cluster)
        launcher = launcher_of(cluster)
        folder = begun(launcher, "true")
        assert await_that(lambda: state_of(launcher, folder)).phase is JobPhase.QUEUED
        [ours] = cluster.admin("squeue", "-h", "-o", "%A").split()
        cluster.stop("slurmctld")
        cluster.start("slurmctld", "-c")

        def has_number():
            [number] = strangers(cluster, 1, "--hold", user="slwuser1")
            return number == ours

        await_that(has_number, "one of the same account has its number")
        launcher.cancel(folder)
        assert f"{ours} PENDING" in cluster.admin("squeue", "-h", "-o", "%A %T").splitlines()


@pytest.mark.parametrize("accounting", [True, False])
def test_an_end_that_only_its_records_tell_is_told_by_them(new_slurm, launcher_of, accounting):
    cluster = new_slurm(nodes=1, accounting=accounting, min_job_age=2)
    launcher = launcher_of(cluster)
    if accounting:
        cluster.stop("slurmdbd")
    folder = begun(launcher, "bash", "-c", "sleep 1; exit 3")
    await_that(lambda: empty(cluster), "nobody looks until the queue has forgotten it")
    state = end(launcher, folder)
    assert (state.phase, state.exit_code) == (JobPhase.EXITED, 3)
    if accounting:
        cluster.start("slurmdbd")
    assert state_of(launcher, folder).exit_code == 3


class TestLoginsThatTalk:
    @pytest.fixture
    def profile(self, slurm):
        file = slurm.machine.home(slurm.users[0]) / ".bashrc"
        yield file
        file.unlink(missing_ok=True)

    def test_what_they_say_is_no_answer(self, slurm, launcher_of, profile):
        profile.write_text(TALKS)
        launcher = launcher_of(slurm)
        folder = begun(launcher, "bash", "-c", "echo $SLURM_JOB_ID")
        assert end(launcher, folder).exit_code == 0
        [number] = texts(launcher, folder)
        assert number not in {"7", "8", "12345"}

    @pytest.mark.parametrize(
        "text", ["exit 1", "read -p 'Continue? [y/n] ' a; [ \"$a\" = y ] || exit 1", "exec true"]
    )
    def test_one_that_cannot_be_used_says_so(self, slurm, launcher_of, profile, text):
        profile.write_text(text)
        launcher = launcher_of(slurm)
        with pytest.raises(SlipwayError) as raised:
            begun(launcher, "true")
        assert raised.value.message.endswith(".")
        checks = {each.name: each for each in launcher.examine("ada")}
        assert checks["program"].fix


def test_pieces_of_an_array_go_ways_of_their_own(slurm, launcher_of):
    launcher = launcher_of(slurm, requeue=True)
    go = slurm.machine.home(slurm.users[0]) / f"go-{uuid.uuid4().hex}"
    script = f"echo run $N; until [ -e {go} ]; do sleep 0.1; done; echo done $N"
    folders = many(launcher, 5, "bash", "-c", script)
    for folder in folders:
        await_that(lambda folder=folder: texts(launcher, folder), "all of them run")
    jobs = [state_of(launcher, folder).process["job"] for folder in folders]
    slurm.run("scontrol", "requeue", jobs[1], user=slurm.users[0])
    slurm.run("scontrol", "requeuehold", jobs[2], user=slurm.users[0])
    slurm.admin("scancel", jobs[3])

    def reason(number, words):
        state = state_of(launcher, folders[number])
        return state and state.phase is JobPhase.QUEUED and words in (state.reason or "")

    await_that(lambda: reason(1, "queue"), "it was put back")
    await_that(lambda: reason(2, "held"), "it is held")
    slurm.admin("scontrol", "release", jobs[2])
    for number in (1, 2):  # they would wait for two minutes
        slurm.admin("scontrol", "update", f"jobid={jobs[number]}", "StartTime=now+3")
    go.touch()
    states = [end(launcher, folder) for folder in folders]
    assert [state.exit_code for state in states[:3]] == [0, 0, 0]
    assert states[4].exit_code == 0
    assert "cancelled on the cluster" in states[3].reason
    for number in (1, 2):
        first, *_, again, last = texts(launcher, folders[number])
        assert (first, again, last) == (f"run {number}", f"run {number}", f"done {number}")
    name = f"--name={mark_of([folder.relative_to(EXECUTIONS) for folder in folders])}"
    told = slurm.admin("sacct", "-a", "-X", "-n", "-P", "-o", "jobid", name).split()
    assert sorted(told) == sorted(jobs), "each is one job, and none was sent a second time"

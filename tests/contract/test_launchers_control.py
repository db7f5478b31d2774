"""The suite over every launcher, second part: cancel, pause, resume and timeout."""

import time
from pathlib import Path

import pytest
from job_bench import wait_until
from kit.patience import await_that

from app.engine.launchers.base import JobPhase, Stream

TREE = """
report() { echo "pid $BASHPID"; }
setsid bash -c 'trap "" TERM; echo "pid $$"; while :; do sleep 0.05; done' &
(setsid bash -c 'echo "pid $$"; exec sleep 60' &)
(report; exec sleep 60) &
report; echo ready; wait
"""


@pytest.mark.shim
def test_cancel_ends_the_whole_tree(bench):
    folder = bench.bash(TREE)
    wait_until(lambda: len(bench.texts(folder)) == 5)
    pids = [int(text.split()[1]) for text in bench.texts(folder) if text != "ready"]
    bench.launcher.cancel(folder)
    state = bench.end(folder)
    assert (state.exit_code, state.cancelled, state.timed_out) == (143, True, False)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    wait_until(lambda: not bench.processes())


def test_cancel_is_polite_and_says_it_once(bench):
    folder = bench.bash(
        "n=0; trap 'n=$((n+1)); echo term $n' TERM; echo ready; "
        "while [ $n = 0 ]; do sleep 0.02; done; sleep 0.1; echo bye; exit 3",
        kill_grace_seconds=10.0,
    )
    bench.await_text(folder, "ready")
    for _ in range(3):
        bench.launcher.cancel(folder)
    state = bench.end(folder)
    assert (state.exit_code, state.cancelled) == (3, True)
    assert bench.texts(folder, Stream.STDOUT) == ["ready", "term 1", "bye"]


def test_who_does_not_listen_is_killed_after_the_grace(bench):
    folder = bench.bash("trap '' TERM; echo ready; while :; do sleep 0.02; done")
    bench.await_text(folder, "ready")
    began = time.monotonic()
    bench.launcher.cancel(folder)
    assert bench.end(folder).exit_code == 137
    assert time.monotonic() - began >= 0.5


def test_cancelled_before_it_began(bench):
    job = bench.job("touch", str(bench.root / "ran"))
    bench.launcher.cancel(job.folder)
    assert bench.launcher.state(job.folder).phase is JobPhase.ABSENT
    bench.start(job)
    state = bench.end(job.folder)
    assert (state.exit_code, state.cancelled, state.started_at) == (143, True, None)
    assert not bench.root.joinpath("ran").exists()


def test_cancelled_at_any_moment_of_its_beginning(bench):
    jobs = [bench.job("sleep", "60") for _ in range(10)]
    for n, job in enumerate(jobs):
        bench.start(job)
        time.sleep(n * 0.005)
        bench.launcher.cancel(job.folder)
    assert all(bench.end(job.folder).cancelled for job in jobs)


@pytest.mark.pausing
def test_requests_after_the_end_change_nothing(bench):
    folder = bench.bash("exit 5")
    state = bench.end(folder)
    bench.launcher.pause(folder)
    bench.launcher.resume(folder)
    bench.launcher.cancel(folder)
    assert bench.launcher.state(folder) == state


TICKS = "i=0; while :; do echo tick $((i=i+1)); sleep 0.02; done"


def await_silence(bench, folder):
    """Wait until nothing comes for many times as long as there was between two ticks."""

    def silent():
        before = bench.texts(folder)
        time.sleep(0.4)
        return before if bench.texts(folder) == before else None

    return wait_until(silent, "the command stands still")


@pytest.mark.pausing
def test_pause_stops_all_of_it_and_resume_lets_it_go_on(bench):
    folder = bench.bash(f"setsid bash -c '{TICKS}' & {TICKS}")
    bench.await_text(folder, "tick 3")
    bench.launcher.pause(folder)
    bench.launcher.pause(folder)
    paused = await_silence(bench, folder)
    bench.launcher.resume(folder)
    wait_until(lambda: bench.texts(folder).count(f"tick {len(paused) // 2 + 5}") == 2)


@pytest.mark.pausing
def test_the_last_of_many_pauses_and_resumes_counts(bench):
    folder = bench.bash(TICKS)
    bench.await_text(folder, "tick 1")
    for _ in range(50):
        bench.launcher.pause(folder)
        bench.launcher.resume(folder)
    count = len(bench.texts(folder))
    wait_until(lambda: len(bench.texts(folder)) > count + 3)


@pytest.mark.pausing
def test_paused_before_it_began(bench):
    job = bench.job("echo", "hello")
    bench.launcher.pause(job.folder)
    bench.start(job)
    await_that(
        lambda: bench.launcher.state(job.folder).phase is JobPhase.RUNNING, "somebody has the job"
    )
    time.sleep(0.2)
    assert bench.launcher.state(job.folder).phase is JobPhase.RUNNING
    assert bench.launcher.state(job.folder).started_at is None
    bench.launcher.resume(job.folder)
    assert bench.end(job.folder).exit_code == 0


@pytest.mark.pausing
def test_a_paused_command_can_be_cancelled(bench):
    folder = bench.bash(TICKS, kill_grace_seconds=10.0)
    bench.await_text(folder, "tick 1")
    bench.launcher.pause(folder)
    time.sleep(0.1)
    bench.launcher.cancel(folder)
    state = bench.end(folder)
    assert (state.exit_code, state.cancelled) == (143, True)


def test_a_timeout_ends_the_command(bench):
    folder = bench.bash("trap '' TERM; sleep 60", timeout_seconds=0.3)
    state = bench.end(folder)
    assert (state.exit_code, state.timed_out, state.cancelled) == (137, True, False)
    assert state.finished_at - state.started_at > 0.7


@pytest.mark.pausing
def test_paused_time_does_not_count(bench):
    folder = bench.bash("echo ready; for i in 1 2 3 4; do sleep 0.1; done", timeout_seconds=4.0)
    bench.await_text(folder, "ready")
    bench.launcher.pause(folder)
    time.sleep(4.2)
    bench.launcher.resume(folder)
    state = bench.end(folder)
    assert (state.exit_code, state.timed_out) == (0, False)

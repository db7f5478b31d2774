"""One suite over every launcher: what the engine relies on."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from job_bench import JobBench, make_launcher, wait_until
from kit.patience import PATIENCE_SECONDS

from app.engine.launchers.base import JobPhase, JobState, Stream
from app.errors import InvalidRequest, UpstreamError, UpstreamRefused

ELSEWHERE = ("HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR", "SLURM", "CUDA_", "GPU_")
"""How variables begin that a command has of its account, and of its job in a batch system."""

# Many at once


def test_jobs_of_one_step_begin_together(bench):
    jobs = [bench.job("bash", "-c", f"echo {place}") for place in range(5)]
    assert bench.launcher.prepare_many(jobs) == {}
    assert {bench.launcher.state(job.folder).phase for job in jobs} == {JobPhase.PREPARED}
    for _ in range(2):  # as after a crash
        bench.launcher.start_many(jobs)
    for place, job in enumerate(jobs):
        assert bench.end(job.folder).exit_code == 0
        assert bench.texts(job.folder) == [str(place)]


# Output


def test_output_comes_whole_in_order_and_with_its_stream(bench):
    began = time.time()
    folder = bench.bash(
        "for i in 1 2 3; do echo out $i; sleep 0.03; echo err $i >&2; sleep 0.03; done; printf end"
    )
    state = bench.end(folder)
    lines = bench.lines(folder)
    expected = [(stream, f"{stream[3:]} {i}") for i in (1, 2, 3) for stream in ("stdout", "stderr")]
    assert [(line.stream, line.text) for line in lines] == [*expected, (Stream.STDOUT, "end")]
    assert bench.launcher.read(folder, 0, 1)[0], "at least one line, whatever the limit"
    times = [line.timestamp for line in lines]
    assert times == sorted(times)
    assert (
        began - 1 < state.started_at <= times[0] < times[-2] <= state.finished_at < time.time() + 1
    )


def test_a_line_can_be_read_while_the_command_runs(bench):
    began = time.time()
    folder = bench.bash("echo first; printf 'no line '; sleep 60")
    bench.await_text(folder, "first")
    assert bench.texts(folder) == ["first"], "half a line waits for its other half"
    state = bench.launcher.state(folder)
    assert state.phase is JobPhase.RUNNING
    assert began - 1 < state.started_at < time.time() + 1
    assert state.exit_code is state.finished_at is state.reason is None


def test_any_limit_reads_the_same_lines(bench):
    folder = bench.bash("seq 20000; echo problem >&2; seq 20000")
    bench.end(folder)
    lines = bench.lines(folder)
    numbers = [str(n) for n in range(1, 20001)]
    assert [line.text for line in lines if line.stream is Stream.STDOUT] == numbers * 2
    for limit in (1, 1000, 70_000):
        assert bench.lines(folder, limit) == lines


def test_a_line_of_1_mib_is_cut(bench):
    folder = bench.bash("head -c 1048576 /dev/zero | tr '\\0' x; echo; echo next")
    bench.end(folder)
    *pieces, last = bench.texts(folder)
    assert last == "next"
    assert max(map(len, pieces)) <= 65536
    assert "".join(pieces) == "x" * 1048576


def test_rubbish_is_decoded_with_replacement(bench):
    rubbish = random.Random(1).randbytes(100_000) + b"\0\xff\xc3"
    bench.root.joinpath("rubbish").write_bytes(rubbish)
    folder = bench.start(bench.job("cat", str(bench.root / "rubbish")))
    bench.end(folder)
    text = rubbish.decode("utf-8", "replace").replace("\0", "\ufffd")
    expected = []
    for line in text.split("\n"):
        *states, last = line.rstrip("\r").split("\r")
        expected += [*filter(None, states), last]
    assert bench.texts(folder) == expected


# Beginning and end


@pytest.mark.parametrize(
    ("script", "exit_code"),
    [("exit 0", 0), ("exit 1", 1), ("exit 77", 77), ("kill -9 $$", 137), ("kill -TERM $$", 143)],
)
def test_the_exit_code_is_as_a_shell_counts(bench, script, exit_code):
    state = bench.end(bench.bash(script))
    assert state.exit_code == exit_code
    assert not state.cancelled
    assert not state.timed_out
    assert state.reason is None
    assert state.node


@pytest.mark.parametrize(
    ("argv", "exit_code", "reason", "explained"),
    [
        (["/no/such/program"], 127, "/no/such/program: No such file or directory", ""),
        (
            ["no-such-program"], 127, "no-such-program: No such file or directory",
            "; no folder of PATH has it: {PATH}",
        ),
        (
            ["/etc/passwd"], 126, "/etc/passwd: Permission denied",
            "; it is not executable (chmod +x)",
        ),
        (["/etc"], 126, "/etc: Permission denied", "; it is a folder"),
        (
            ["echo", "x" * 200_000], 126, "echo: Argument list too long",
            "; its arguments and variables are longer than this machine takes",
        ),
        (["echo", "a\0b"], 126, "echo: embedded null byte", ""),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_begun(bench, argv, exit_code, reason, explained):
    job = bench.job(*argv)
    state = bench.end(bench.start(job))
    assert (state.exit_code, state.started_at) == (exit_code, None)
    explained = explained.replace("{PATH}", job.env["PATH"][:300])
    assert state.reason in (reason, reason + explained), "a launcher may explain"


def test_a_working_folder_that_cannot_be_used(bench):
    bench.root.joinpath("file").touch()
    state = bench.end(bench.start(bench.job("true", working_dir=bench.root / "file")))
    assert state.exit_code == 126
    assert state.reason == f"{bench.root}/file: File exists"


def test_a_missing_working_folder_is_made(bench):
    folder = bench.start(bench.job("pwd", working_dir=bench.root / "a" / "b"))
    assert bench.end(folder).exit_code == 0
    assert bench.texts(folder) == [str(bench.root / "a" / "b")]


def test_the_command_gets_its_environment_and_nothing_else(bench, monkeypatch):
    monkeypatch.setenv("SLIPWAY_MASTER_KEY", "secret")
    job = bench.job("/usr/bin/env", "-0", env={"ODD": "a=b\nä \udcff"})
    bench.end(bench.start(job))
    text = "\n".join(bench.texts(job.folder)).replace("\ufffd", "\0")
    seen = dict(item.split("=", 1) for item in text.split("\0") if "=" in item)
    assert seen.pop("SLIPWAY_OUTPUT").startswith(str(job.folder))
    assert seen.pop("ODD") == "a=b\nä "
    if not bench.launcher.here:  # there it also has what its account and its job have
        assert {"HOME", "USER", "SLURM_JOB_ID"} <= seen.keys()
        seen = {name: text for name, text in seen.items() if not name.startswith(ELSEWHERE)}
    assert seen == {"PATH": job.env["PATH"], "MARK": job.env["MARK"]}


def test_the_command_inherits_nothing_else(bench):
    script = "cat; grep -E '^Sig(Ign|Blk)' /proc/self/status; ls /proc/self/fd"
    folder = bench.bash(script)
    assert bench.end(folder).exit_code == 0
    *masks, stdin, stdout, stderr, own = bench.texts(folder)
    # Others than these (two of the C library's own) no program can set, nor can it set them right.
    settable = sum(1 << (number - 1) for number in signal.valid_signals())
    assert [int(mask.split()[1], 16) & settable for mask in masks] == [0, 0]
    assert [stdin, stdout, stderr, own] == ["0", "1", "2", "3"]


def test_files_are_written_before_the_start(bench):
    job = bench.job("true")
    script, data = str(job.folder / "script"), str(job.folder / "data")
    files = {"script": '#!/bin/sh\ncat "$1"\nstat -c %a "$0" "$1"\n', "data": "Grüße\n"}
    folder = bench.start(bench.job("sh", "-c", f"{script} {data}", folder=job.folder, files=files))
    assert bench.end(folder).exit_code == 0
    assert bench.texts(folder) == ["Grüße", "700", "600"]
    assert not Path(script).exists(), "what may hold a secret does not stay"


def test_a_text_is_the_standard_input_of_the_command(bench):
    text = "Grüße\n" * 100_000
    folder = bench.start(bench.job("cat", stdin=text))
    assert bench.end(folder).exit_code == 0
    assert bench.texts(folder) == ["Grüße"] * 100_000


@pytest.mark.shim
def test_no_secret_of_a_job_is_in_a_file_or_an_argument_list(bench):
    secret = "hunter2-"
    job = bench.job(
        *("bash", "-c", f'echo begun; until [ -e {bench.root}/go ]; do sleep 0.02; done; : "$0"'),
        *("given-" + secret,), env={"TOKEN": secret + "e"}, stdin=secret + "s",
        files={"script": secret + "f"},
    )  # fmt: skip
    bench.start(job)
    bench.await_text(job.folder, "begun")
    while_it_runs = [p.name for p in job.folder.rglob("*") if secret in p.read_text("latin-1")]
    assert while_it_runs == ["script"], "what an interpreter reads"
    shims = [p for p in bench.processes() if "shim.supervisor" in bench.command_line(p)]
    assert len(shims) == 1
    assert secret not in bench.command_line(shims[0])
    bench.root.joinpath("go").touch()
    bench.end(job.folder)
    assert not [
        p for p in bench.root.rglob("*") if p.is_file() and secret in p.read_text("latin-1")
    ]


def test_a_file_that_names_its_interpreter_can_be_executed(bench):
    work = bench.root / "work"
    files = {"bin/run": "#!/bin/sh\necho ran", "text": "echo no", "late": "\n#!/bin/sh"}
    bench.launcher.make_work_folder(work, files, begun=False)
    folder = bench.start(bench.job("bin/run", working_dir=work))
    assert bench.end(folder).exit_code == 0
    assert bench.texts(folder) == ["ran"]
    modes = {name: work.joinpath(name).stat().st_mode & 0o777 for name in files}
    assert modes == {"bin/run": 0o700, "text": 0o600, "late": 0o600}


def test_outputs(bench):
    script = """echo a=1 >> $SLIPWAY_OUTPUT; echo '{"b": [2]}' >> $SLIPWAY_OUTPUT; cd /"""
    folder = bench.bash(script)
    bench.end(folder)
    assert bench.launcher.outputs(folder) == {"a": "1", "b": [2]}


@pytest.mark.parametrize(
    "write", ["echo a=1 >", "mkfifo", "mkdir", "ln -s /dev/zero", "ln -s /no/such/file"]
)
def test_outputs_that_cannot_be_read(bench, write):
    folder = bench.bash(
        f"{write} $SLIPWAY_OUTPUT; [ ! -f $SLIPWAY_OUTPUT ] || echo b >> $SLIPWAY_OUTPUT"
    )
    bench.end(folder)
    with pytest.raises(InvalidRequest):
        bench.launcher.outputs(folder)


def test_a_job_that_was_never_started(bench):
    folder = bench.root / "jobs" / "none"
    assert bench.launcher.state(folder) == JobState(JobPhase.ABSENT)
    assert bench.launcher.read(folder, 0, 1000) == ([], 0)
    assert bench.launcher.outputs(folder) == {}


def test_a_folder_that_cannot_be_made(bench):
    bench.root.joinpath("file").touch()
    with pytest.raises(UpstreamError):
        bench.launcher.start(bench.job("true", folder=bench.root / "file" / "job"))


# The work folder


def test_files_are_given_once(bench):
    work = bench.root / "work"
    bench.launcher.make_work_folder(work, {"a": "one"}, begun=False)
    work.joinpath("a").unlink()
    bench.launcher.make_work_folder(work, {"a": "two"}, begun=True)
    assert not work.joinpath("a").exists(), "a command took it away"
    shutil.rmtree(work)
    bench.launcher.make_work_folder(work, {"a": "three"}, begun=True)
    bench.launcher.make_work_folder(work, {"a": "four"}, begun=False)
    assert work.joinpath("a").read_text() == "three"


def test_a_work_folder_that_cannot_be_made(bench):
    bench.root.joinpath("file").touch()
    with pytest.raises((OSError, UpstreamRefused), match=r"file|folder"):
        bench.launcher.make_work_folder(bench.root / "file" / "work", {}, begun=False)


# What may be begun


def test_prepared_it_may_begin_and_does_not(bench):
    job = bench.job("touch", str(bench.root / "ran"))
    bench.launcher.prepare(job)
    bench.launcher.prepare(job)
    assert bench.launcher.state(job.folder) == JobState(JobPhase.PREPARED)
    bench.start(job)
    assert bench.end(job.folder).exit_code == 0
    bench.launcher.prepare(job)
    assert bench.launcher.state(job.folder).phase is JobPhase.EXITED


@pytest.mark.parametrize("cancelled", [True, False])
@pytest.mark.parametrize("prepared", [True, False])
def test_refused_it_never_begins_whoever_starts_it(bench, launcher_name, prepared, cancelled):
    job = bench.job("touch", str(bench.root / "ran"))
    if prepared:
        bench.launcher.prepare(job)
    assert bench.launcher.refuse(job.folder, cancelled=cancelled)
    assert bench.launcher.refuse(job.folder, cancelled=not cancelled)
    for launcher in (bench.launcher, make_launcher(launcher_name, bench.root)):
        launcher.start(job)
        launcher.cancel(job.folder)
    state = bench.launcher.state(job.folder)
    assert (state.phase, state.cancelled, state.lingers) == (JobPhase.LOST, cancelled, False)
    wait_until(lambda: not bench.processes())
    assert not bench.root.joinpath("ran").exists()


def test_refused_and_started_at_once_it_is_one_of_the_two(bench, launcher_name):
    jobs = [bench.job("bash", "-c", f"echo ran >> {n}") for n in range(20)]
    others = [make_launcher(launcher_name, bench.root) for _ in range(2)]

    def refuse(job):
        time.sleep(random.uniform(0, 0.06))
        return others[0].refuse(job.folder, cancelled=True)

    with ThreadPoolExecutor(4) as pool:
        for job in jobs:
            bench.launcher.prepare(job)
            pool.submit(others[1].start, job)
        refused = list(pool.map(refuse, jobs))
    for job, never in zip(jobs, refused, strict=True):
        if never:
            assert bench.launcher.state(job.folder).phase is JobPhase.LOST
        else:
            assert bench.end(job.folder).exit_code == 0
    wait_until(lambda: not bench.processes())
    for n, (job, never) in enumerate(zip(jobs, refused, strict=True)):
        assert job.working_dir.joinpath(str(n)).exists() is not never


def test_what_has_begun_cannot_be_refused(bench):
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")
    assert not bench.launcher.refuse(folder, cancelled=True)
    assert bench.launcher.state(folder).phase is JobPhase.RUNNING


# What is left behind


@pytest.mark.shim
def test_what_the_command_left_behind_is_ended(bench):
    folder = bench.bash("(trap '' TERM; echo here; sleep 600) & setsid sleep 600 & echo done")
    state = bench.end(folder)
    assert state.exit_code == 0
    assert state.finished_at - state.started_at < 600, "it did not wait for what sleeps"
    assert set(bench.texts(folder, Stream.STDOUT)) == {"here", "done"}
    assert bench.texts(folder, Stream.REMARK) == [
        "Processes that the command left behind are ended"
    ]
    wait_until(lambda: not bench.processes())


@pytest.mark.shim
def test_what_is_just_finishing_is_waited_for(bench):
    # As with the usual "exec > >(tee log)", which bash does not wait for.
    folder = bench.bash("exec > >(sleep 0.2; cat); echo late")
    assert bench.end(folder).exit_code == 0
    assert bench.texts(folder) == ["late"]


# Exactly once, whoever dies


def test_started_many_times_it_runs_once(bench, launcher_name):
    job = bench.job("bash", "-c", "echo ran >> ran; sleep 0.3")
    launchers = [make_launcher(launcher_name, bench.root) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda launcher: launcher.start(job), launchers * 2))
    bench.launcher.start(job)
    bench.end(job.folder)
    bench.launcher.start(job)
    time.sleep(0.2)
    assert job.working_dir.joinpath("ran").read_text() == "ran\n"


def test_another_launcher_takes_over(bench, launcher_name):
    folder = bench.bash("echo before; sleep 60")
    bench.await_text(folder, "before")
    other = JobBench(make_launcher(launcher_name, bench.root), bench.root)
    assert other.launcher.state(folder) == bench.launcher.state(folder)
    assert other.texts(folder) == ["before"]
    other.launcher.cancel(folder)
    assert other.end(folder).cancelled


STARTER = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from job_bench import JobBench, make_launcher
root = Path(sys.argv[3])
bench = JobBench(make_launcher(sys.argv[2], root), root)
for n in range(int(sys.argv[4])):
    bench.bash(f"echo ran >> {n}; sleep 0.2; echo end; exit 7", execution_id=str(n))
os.killpg(0, signal.SIGKILL)
"""


def starter(launcher_name, root, count):
    argv = (str(Path(__file__).parent), launcher_name, str(root), str(count))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # a launcher may be anywhere
    return subprocess.Popen([sys.executable, "-c", STARTER, *argv], env=env, start_new_session=True)


def test_the_command_outlives_a_starter_that_is_killed_at_once(bench, launcher_name):
    with starter(launcher_name, bench.root, 1) as process:
        assert process.wait() == -signal.SIGKILL
    folder = bench.root / "jobs" / "1"
    assert bench.end(folder).exit_code == 7
    assert bench.texts(folder) == ["end"]


def test_a_starter_killed_at_any_moment_loses_and_repeats_nothing(bench, launcher_name):
    count = 5 if launcher_name.endswith(":ToyLauncher") else 40  # it is slow to begin any
    with starter(launcher_name, bench.root, count) as process:
        wait_until(bench.root.joinpath("jobs").exists)
        time.sleep(random.uniform(0.02, 0.1))
        process.kill()
    jobs = [
        bench.job("bash", "-c", f"echo ran >> {n}; sleep 0.2; echo end; exit 7")
        for n in range(count)
    ]
    for job in jobs:
        bench.start(job)
    for n, job in enumerate(jobs):
        assert bench.end(job.folder).exit_code == 7
        assert bench.texts(job.folder) == ["end"]
        assert job.working_dir.joinpath(str(n)).read_text() == "ran\n"


@pytest.mark.shim
def test_who_listens_is_woken(bench):
    woken, bell = [], threading.Event()

    def wake(execution_id):
        woken.append(execution_id)
        bell.set()

    bench.launcher.listen(wake)
    folder = bench.bash("echo line; until [ -e go ]; do sleep 0.02; done", execution_id="ä-1")
    bench.await_text(folder, "line")
    assert bell.wait(PATIENCE_SECONDS), "by the line, for it goes on"
    assert bench.launcher.state(folder).phase is JobPhase.RUNNING
    bell.clear()
    bench.root.joinpath("work", "go").touch()
    assert bell.wait(PATIENCE_SECONDS)
    bench.end(folder)
    assert set(woken) == {"ä-1"}

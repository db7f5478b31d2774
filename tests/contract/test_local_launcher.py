"""What only the local launcher and its shim promise."""

import errno
import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from job_bench import JobBench, wait_until
from kit.patience import PATIENCE_SECONDS

from app.engine.launchers.base import JobPhase, JobState, Stream
from app.engine.launchers.job_processes import shim_command
from app.engine.launchers.local import LocalLauncher
from app.engine.launchers.shim import records
from app.errors import InvalidRequest, UpstreamUnreachable

pytestmark = pytest.mark.shim


def claim_of(folder: Path) -> dict:
    return json.loads(wait_until(folder.joinpath(records.CLAIM).exists) and read_claim(folder))


def read_claim(folder: Path) -> str:
    return folder.joinpath(records.CLAIM).read_text()


def change_claim(folder: Path, **fields) -> None:
    content = json.dumps({**claim_of(folder), **fields}).encode()
    records.write_atomically(str(folder / records.CLAIM), content)
    give(folder / records.CLAIM, folder)


def give(path: Path, folder: Path) -> None:
    """Give a path to the owner of a folder."""
    os.chown(path, folder.stat().st_uid, -1)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def status_kib(pid: int, field: str) -> int:
    (line,) = (s for s in Path(f"/proc/{pid}/status").read_text().splitlines() if field in s)
    return int(line.split()[1])


# The windows in which somebody may be killed


def test_a_job_whose_shim_was_killed_is_lost_and_not_repeated(bench, launcher):
    job = bench.job("bash", "-c", "echo ran >> ran; echo ran; exec sleep 60")
    bench.start(job)
    bench.await_text(job.folder, "ran")
    kill(claim_of(job.folder)["pid"])
    state = wait_until(lambda: (s := launcher.state(job.folder)).phase is JobPhase.LOST and s)
    assert state.reason == "its supervisor is gone"
    assert state.started_at
    wait_until(lambda: not bench.processes())  # the kernel ended the command with its shim
    launcher.start(job)
    time.sleep(0.2)
    assert job.working_dir.joinpath("ran").read_text() == "ran\n"
    for request in (launcher.cancel, launcher.pause, launcher.resume):
        request(job.folder)
    assert launcher.state(job.folder).phase is JobPhase.LOST
    assert bench.texts(job.folder) == ["ran"]


def test_the_result_counts_although_the_shim_is_gone(bench, launcher):
    folder = bench.bash("exit 4")
    bench.end(folder)
    wait_until(lambda: not bench.processes())
    assert launcher.state(folder).exit_code == 4


def written_but_not_claimed(bench):
    """What a starter or shim leaves that is killed before the claim."""
    job = bench.job("bash", "-c", "echo ran >> ran")
    bench.end(bench.start(job))
    job.working_dir.joinpath("ran").unlink()
    for name in (records.CLAIM, records.EXIT, records.FRAMES):
        job.folder.joinpath(name).unlink()
    wait_until(lambda: not bench.processes())
    return job


def test_written_down_a_moment_ago_it_is_on_its_way(bench, launcher):
    job = written_but_not_claimed(bench)
    assert launcher.state(job.folder).phase is JobPhase.RUNNING
    assert launcher.state(job.folder).started_at is None


@pytest.mark.parametrize("age", [11, 10_000, -10_000])
def test_written_down_and_forgotten_it_can_be_started_again(bench, launcher, age):
    job = written_but_not_claimed(bench)
    moment = time.time() - age
    os.utime(job.folder / records.SPEC, (moment, moment))
    assert launcher.state(job.folder).phase is JobPhase.PREPARED
    launcher.start(job)
    assert launcher.state(job.folder).phase is not JobPhase.PREPARED
    assert bench.end(job.folder).exit_code == 0
    assert job.working_dir.joinpath("ran").read_text() == "ran\n"


def test_killed_before_the_specification_it_was_never_started(bench, launcher):
    job = bench.job("true")
    job = bench.job("cat", str(job.folder / "script"), folder=job.folder, files={"script": "new"})
    job.folder.mkdir(parents=True)
    job.folder.joinpath("script").write_text("exit")
    give(job.folder, bench.root)
    assert launcher.state(job.folder).phase is JobPhase.ABSENT
    launcher.start(job)
    assert bench.end(job.folder).exit_code == 0
    assert bench.texts(job.folder) == ["new"]


def test_a_frame_cut_off_by_a_kill_is_never_read(bench, launcher):
    folder = bench.bash("echo whole")
    bench.end(folder)
    lines, offset = launcher.read(folder, 0, 1000)
    with folder.joinpath(records.FRAMES).open("ab") as file:
        file.write(records.HEADER.pack(records.STDOUT, 1.0, 100) + b"half\n")
    assert launcher.read(folder, 0, 1000) == (lines, offset)
    assert launcher.read(folder, offset, 1000) == ([], offset)


def test_a_second_shim_exits_at_once(bench):
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")
    subprocess.run(
        shim_command(folder), cwd=folder, input=b"{}", timeout=PATIENCE_SECONDS, check=True
    )
    assert bench.texts(folder) == ["ran"]
    assert not list(folder.glob("claim.json.*"))


# What becomes of the folder


def replace_by(make):
    def work(folder):
        shutil.rmtree(folder)
        make(folder)

    return work


def without(*names):
    return lambda folder: [folder.joinpath(name).unlink() for name in names]


def holding(name, content):
    return lambda folder: folder.joinpath(name).write_bytes(content)


def instead(name, make):
    def work(folder):
        folder.joinpath(name).unlink()
        make(folder / name)

    return work


DAMAGES = {
    "removed": shutil.rmtree,
    "all of it removed": lambda folder: shutil.rmtree(folder.parent),
    "made anew": replace_by(Path.mkdir),
    "a file": replace_by(Path.touch),
    "a loop": replace_by(lambda folder: folder.symlink_to(folder)),
    "a link to nowhere": replace_by(lambda folder: folder.symlink_to("nowhere")),
    "a pipe": replace_by(os.mkfifo),
    "no claim": without(records.CLAIM),
    "no claim, no spec": without(records.CLAIM, records.SPEC),
    "claim a pipe": instead(records.CLAIM, os.mkfifo),
    "claim a folder": instead(records.CLAIM, Path.mkdir),
    "claim endless": instead(records.CLAIM, lambda path: path.symlink_to("/dev/zero")),
    "claim empty": holding(records.CLAIM, b""),
    "claim half": holding(records.CLAIM, b'{"pid": 1'),
}


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "unseen"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_began_is_lost_with_its_records_and_its_whole_tree_is_ended(
    bench, launcher, damage, seen
):
    job = bench.job("bash", "-c", "echo ran >> ran; setsid sleep 60 & echo ran; wait")
    bench.start(job)
    bench.await_text(job.folder, "ran")
    process = launcher.state(job.folder).process if seen else None
    DAMAGES[damage](job.folder)
    if not seen and damage == "no claim":
        os.utime(job.folder / records.SPEC, (1000, 1000))  # or it would be on its way still
    state = launcher.state(job.folder, process)
    assert state.phase is (JobPhase.ABSENT if is_nowhere(job.folder, seen) else JobPhase.LOST)
    assert state.lingers
    assert (state.reason is not None) == (state.phase is JobPhase.LOST)
    assert launcher.read(job.folder, 0, 1000) is not None
    launcher.end(job.folder, process, force=False)
    wait_until(lambda: not launcher.state(job.folder, process).lingers)
    wait_until(lambda: not bench.processes())
    assert job.working_dir.joinpath("ran").read_text() == "ran\n"


def is_nowhere(folder, seen):
    names = (records.SPEC, records.CLAIM)
    loops = folder.is_symlink() and folder.readlink() == folder
    return not (seen or loops or any(os.path.lexists(folder / name) for name in names))


@pytest.mark.parametrize("damage", ["removed", "no claim, no spec", "claim empty"])
def test_what_ended_and_lost_its_records_is_not_begun_again(bench, launcher, damage):
    job = bench.job("bash", "-c", "echo ran >> ran")
    bench.start(job)
    bench.end(job.folder)
    wait_until(lambda: not bench.processes())
    process = launcher.state(job.folder).process
    DAMAGES[damage](job.folder)
    job.folder.joinpath(records.EXIT).unlink(missing_ok=True)
    state = launcher.state(job.folder, process)
    assert (state.phase, state.lingers) == (JobPhase.LOST, False)


def test_a_result_counts_whatever_became_of_the_claim(bench, launcher):
    folder = bench.bash("exit 4")
    bench.end(folder)
    wait_until(lambda: not bench.processes())
    process = launcher.state(folder).process
    for damage in (holding(records.CLAIM, b""), without(records.CLAIM)):
        damage(folder)
        assert launcher.state(folder, process).exit_code == 4


def test_a_damaged_result_is_a_loss(bench, launcher):
    folder = bench.bash("exit 0")
    bench.end(folder)
    wait_until(lambda: not bench.processes())
    folder.joinpath(records.EXIT).write_bytes(b"")
    state = launcher.state(folder)
    assert (state.phase, state.exit_code) == (JobPhase.LOST, None)


def test_a_claim_of_another_job_is_not_taken_for_this_ones(bench, launcher):
    folder, other = bench.bash("echo ran; sleep 60"), bench.bash("echo ran; sleep 60")
    for each in (folder, other):
        bench.await_text(each, "ran")
    process = launcher.state(folder).process
    records.write_atomically(str(folder / records.CLAIM), other.joinpath("claim.json").read_bytes())
    state = launcher.state(folder, process)
    assert (state.phase, state.lingers) == (JobPhase.LOST, True)
    launcher.end(folder, process, force=True)
    wait_until(lambda: not launcher.state(folder, process).lingers)
    assert launcher.state(other).phase is JobPhase.RUNNING


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_output_that_cannot_be_read_holds_nobody_up(bench, launcher, make):
    folder = bench.bash("echo ran")
    bench.end(folder)
    instead(records.FRAMES, make)(folder)
    assert launcher.read(folder, 0, 1000) == ([], 0)


def test_a_command_that_removes_its_own_folder_leaves_no_shim(bench, launcher):
    # Once is not enough where its shim writes something there at the same moment.
    text = 'it=$(dirname "$SLIPWAY_OUTPUT"); while [ -e "$it" ]; do rm -rf "$it"; done; echo > ran'
    job = bench.job("bash", "-c", text)
    bench.start(job)
    wait_until(job.working_dir.joinpath("ran").exists)
    wait_until(lambda: not bench.processes())
    assert launcher.state(job.folder) == JobState(JobPhase.ABSENT)


def test_what_a_killed_shim_leaves_behind_is_found_and_ended(bench, launcher):
    job = bench.job("bash", "-c", "setsid sleep 60 & echo ran; wait")
    bench.start(job)
    bench.await_text(job.folder, "ran")
    kill(claim_of(job.folder)["pid"])
    state = wait_until(lambda: (s := launcher.state(job.folder)).phase is JobPhase.LOST and s)
    assert state.lingers
    launcher.end(job.folder, state.process, force=False)
    wait_until(lambda: not launcher.state(job.folder).lingers)


def test_one_that_does_not_listen_is_ended_by_force(bench, launcher):
    folder = bench.bash(
        "trap '' TERM; echo ran; while :; do sleep 0.1; done", kill_grace_seconds=60
    )
    bench.await_text(folder, "ran")
    process = launcher.state(folder).process
    shutil.rmtree(folder)
    os.kill(process["pid"], signal.SIGSTOP)
    launcher.end(folder, process, force=True)
    wait_until(lambda: not launcher.state(folder, process).lingers)
    wait_until(lambda: not bench.processes())


# Whose process it is


def test_a_recycled_pid_is_not_taken_for_the_shim(bench, launcher):
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")
    change_claim(folder, pid=os.getpid())
    assert launcher.state(folder).phase is JobPhase.LOST
    launcher.cancel(folder)  # SIGUSR1 would end the process of this test


def test_a_machine_that_was_restarted_has_lost_the_job(bench, launcher):
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")
    change_claim(folder, boot_id="another")
    state = launcher.state(folder)
    assert (state.phase, state.reason) == (JobPhase.LOST, "its machine was restarted")


def test_a_job_of_another_machine_is_neither_lost_nor_in_reach(bench, launcher):
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")
    change_claim(folder, hostname="elsewhere", boot_id="another")
    state = launcher.state(folder)
    assert (state.phase, state.node) == (JobPhase.RUNNING, "elsewhere")
    assert state.reason == "only a launcher on elsewhere can tell whether it still runs"
    with pytest.raises(UpstreamUnreachable, match="elsewhere"):
        launcher.cancel(folder)


def test_a_machine_that_was_given_another_name_still_knows_its_job(bench, launcher):
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")
    change_claim(folder, hostname="before")
    assert launcher.state(folder).phase is JobPhase.RUNNING
    launcher.cancel(folder)
    assert bench.end(folder).cancelled


def test_a_zombie_is_gone(bench, launcher):
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")
    with subprocess.Popen(["true"]) as zombie:
        wait_until(lambda: records.process_stat(zombie.pid)[0] == "Z")
        start_time = records.process_stat(zombie.pid)[19]
        change_claim(folder, pid=zombie.pid, start_time=start_time)
        assert launcher.state(folder).phase is JobPhase.LOST


# The shim as a process


def test_the_shim_is_detached_and_inherits_nothing(bench, monkeypatch):
    monkeypatch.setenv("SLIPWAY_MASTER_KEY", "secret")
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")
    os.close(writing)
    assert os.read(reading, 1) == b"", "nobody else has the pipe"
    os.close(reading)
    pid = claim_of(folder)["pid"]
    _state, parent, group, session, *_ = records.process_stat(pid)
    assert group == session == str(pid)
    assert parent != str(os.getpid())
    environment = Path(f"/proc/{pid}/environ").read_text()
    assert {line.partition("=")[0] for line in environment.split("\0")} <= {
        *("", "PWD", "LD_LIBRARY_PATH", "LC_CTYPE")
    }


def test_the_shim_survives_sighup_and_ends_the_command_on_sigterm(bench):
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")
    pid = claim_of(folder)["pid"]
    os.kill(pid, signal.SIGHUP)
    time.sleep(0.05)
    os.kill(pid, signal.SIGTERM)
    state = bench.end(folder)
    assert (state.exit_code, state.cancelled) == (143, False)
    assert state.reason == "its supervisor got SIGTERM, as when a machine shuts down"


def test_a_million_lines_take_no_memory(bench, launcher):
    folder = bench.bash("echo ready; until [ -e go ]; do sleep 0.01; done; seq 1000000; sleep 60")
    bench.await_text(folder, "ready")
    pid = claim_of(folder)["pid"]
    before = status_kib(pid, "VmHWM")
    bench.root.joinpath("work", "go").touch()
    last, offset = "", 0

    def read_on():
        nonlocal last, offset
        lines, offset = launcher.read(folder, offset, 1 << 20)
        last = lines[-1].text if lines else last
        return last == "1000000"

    wait_until(read_on)
    assert status_kib(pid, "VmHWM") - before < 2048
    assert before < 20_000


def test_a_line_without_an_end_takes_no_memory(bench):
    folder = bench.bash("echo ready; head -c 50000000 /dev/zero; echo; echo done; sleep 60")
    bench.await_text(folder, "ready")
    pid = claim_of(folder)["pid"]
    frames = folder / records.FRAMES
    wait_until(lambda: frames.stat().st_size > 50_000_000)
    assert status_kib(pid, "VmHWM") < 20_000


def test_the_state_of_an_unfinished_line_is_seen_while_its_command_waits(bench):
    go = bench.root / "work" / "go"
    folder = bench.bash(
        "wait_for() { until [ -e go$1 ]; do sleep 0.01; done; };"
        "printf 'progress 1\\r'; wait_for 1; printf 'progress 2\\r'; wait_for 2; printf 'done\\n';"
        "printf 'licence server ... '; wait_for 3; printf 'ok\\n'"
    )
    for number, text in enumerate(["progress 1", "progress 2", "licence server ... "], start=1):
        bench.await_text(folder, text)
        Path(f"{go}{number}").touch()
    assert bench.end(folder).exit_code == 0
    lines = bench.lines(folder)
    assert [(line.text, line.continues) for line in lines] == [
        ("progress 1", False), ("progress 2", False), ("done", False),
        ("licence server ... ", False), ("ok", True),
    ]  # fmt: skip


def test_beyond_its_limit_the_output_of_a_command_is_counted_and_it_goes_on(bench):
    most, line = 100_000, 8
    folder = bench.bash("yes 1234567 | head -c 8000000; exit 4", most_output_bytes=most)
    state = bench.end(folder)
    assert state.exit_code == 4
    texts = bench.texts(folder, Stream.STDOUT)
    beyond = 8_000_000 - line * len(texts)
    assert 0 < line * len(texts) <= most
    assert (folder / records.FRAMES).stat().st_size < most + 1000
    assert state.losses == (
        f"{beyond} bytes of output were not kept, beyond the limit of {most} bytes",
    )
    assert f"limit of {most} bytes" in bench.texts(folder, Stream.REMARK)[0]


@pytest.mark.parametrize("launcher_name", ["local"])  # whose shim may be given a limit
def test_a_full_disk_costs_output_and_nothing_else(bench):
    folder = bench.bash("echo ready; until [ -e go ]; do sleep 0.01; done; seq 50000; exit 6")
    bench.await_text(folder, "ready")
    limit = (20_000, 20_000)
    resource.prlimit(claim_of(folder)["pid"], resource.RLIMIT_FSIZE, limit)
    bench.root.joinpath("work", "go").touch()
    state = bench.end(folder)
    assert state.exit_code == 6
    texts = bench.texts(folder, Stream.STDOUT)
    assert texts[0] == "ready"
    kept = sum(len(text) + 1 for text in texts)
    all_of_it = "ready\n" + "".join(f"{i}\n" for i in range(1, 50001))
    lost = len(all_of_it) - kept
    assert state.losses == (f"{lost} bytes of output found no place on the disk",)
    assert json.loads((folder / records.EXIT).read_bytes())["lost_bytes"] == lost
    numbers = [int(text) for text in bench.texts(folder, Stream.STDOUT)[1:]]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("launcher_name", ["local"])  # which works in this process
def test_a_disk_that_takes_no_request_keeps_nothing_from_its_end(bench, launcher, monkeypatch):
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")

    def touch(path, *args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "touch", touch)
    launcher.cancel(folder)
    assert bench.end(folder).exit_code == 143
    with pytest.raises(UpstreamUnreachable):
        launcher.pause(folder)


def test_the_shim_imports_nothing_slow():
    program = (
        "import sys; sys.path.append(sys.argv[1]); import shim.supervisor; print(*sys.modules)"
    )
    launchers = Path(records.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, launchers],
        capture_output=True,
        text=True,
        check=True,
    )
    slow = {"app", "pathlib", "typing", "subprocess", "socket", "threading", "dataclasses"}
    assert not slow & set(result.stdout.split())


# The doorbell


@pytest.fixture
def listen():
    """Listen with a launcher; return what waits for the next ring."""

    def listen(launcher):
        rings = []
        bell = threading.Semaphore(0)

        def wake(execution_id):
            rings.append(execution_id)
            bell.release()

        launcher.listen(wake)
        return lambda: bell.acquire(timeout=PATIENCE_SECONDS) and rings[-1]

    return listen


def test_a_doorbell_deep_in_the_file_system(tmp_path, listen):
    deep = tmp_path.joinpath(*["x" * 50] * 5)
    deep.mkdir(parents=True)
    with JobBench(LocalLauncher(deep / "doorbell"), tmp_path) as bench:
        next_ring = listen(bench.launcher)
        bench.bash("echo ran")
        assert next_ring() == "execution-1"


def test_a_doorbell_of_an_earlier_process_and_something_else_in_its_place(tmp_path, listen):
    doorbell = tmp_path / "doorbell"
    for make in (lambda: os.mkfifo(doorbell), doorbell.touch):
        doorbell.unlink(missing_ok=True)
        make()
        with JobBench(LocalLauncher(doorbell), tmp_path / make.__name__) as bench:
            next_ring = listen(bench.launcher)
            bench.bash("echo ran")
            assert next_ring() == "execution-1"


@pytest.mark.parametrize("doorbell", [None, "missing/doorbell", "unanswered"])
def test_nobody_needs_to_listen(tmp_path, doorbell):
    os.mkfifo(tmp_path / "unanswered")
    with JobBench(LocalLauncher(doorbell and tmp_path / doorbell), tmp_path) as bench:
        folder = bench.bash("echo ran")
        assert bench.end(folder).exit_code == 0
        assert bench.texts(folder) == ["ran"]


def test_a_doorbell_that_nobody_empties_holds_nobody_up(tmp_path):
    doorbell = tmp_path / "doorbell"
    os.mkfifo(doorbell)
    fd = os.open(doorbell, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 4096)
    os.write(fd, b"x" * 4096)
    with JobBench(LocalLauncher(doorbell), tmp_path) as bench:
        assert bench.end(bench.bash("echo ran")).exit_code == 0
    os.close(fd)


@pytest.mark.parametrize("name", ["spec.json", "frames", "cancel", "shim.err", "a/b", "..", ""])
def test_a_file_cannot_take_the_place_of_a_record(bench, launcher, name):
    with pytest.raises(InvalidRequest):
        launcher.start(bench.job("true", files={name: "x"}))


STEPPED = """
import os, sys, time
clock = time.time
time.time = lambda: clock() + (float(sys.argv[3]) if os.path.exists(sys.argv[2]) else 0.0)
sys.path.append(sys.argv[1])
from shim.supervisor import main
main()
"""


@pytest.mark.parametrize("launcher_name", ["local"])  # the shim's own code, in a process of ours
@pytest.mark.parametrize("step", [-3600, 3600])
def test_how_long_a_command_took_does_not_depend_on_the_clock(bench, launcher, step):
    job = bench.job("bash", "-c", "touch stepped; echo ran")
    launcher.prepare(job)
    spec = launcher._specification(job)
    launchers = Path(records.__file__).parent.parent
    subprocess.run(
        [sys.executable, "-c", STEPPED, launchers, job.working_dir / "stepped", str(step)],
        input=json.dumps(spec).encode(), cwd=job.folder, check=True, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    state = launcher.state(job.folder)
    assert (state.phase, state.exit_code) == (JobPhase.EXITED, 0)
    assert 0 <= state.finished_at - state.started_at < PATIENCE_SECONDS

"""How shims are begun: by a fork server that may be lost at any moment, or without one."""

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from job_bench import JobBench, wait_until
from kit.guarded import root_looks_into_them

from app.engine.launchers import starter
from app.engine.launchers.base import JobPhase
from app.engine.launchers.job_processes import end, remains, shim_command
from app.engine.launchers.job_records import read_claim
from app.engine.launchers.local import LocalLauncher
from app.engine.launchers.shim import fork_server, records
from app.engine.launchers.shim.fork_server import ANSWER
from app.errors import UpstreamUnreachable

STARTS = 60


@pytest.fixture
def bench(tmp_path):
    with JobBench(LocalLauncher(), tmp_path) as bench:
        yield bench
    assert not any(path.read_text() for path in tmp_path.rglob("shim.err"))


@pytest.fixture
def impatient(monkeypatch):
    """Have a fork server that is silent from the start given up soon."""
    monkeypatch.setattr(starter, "_FIRST_ANSWER_SECONDS", 0.3)


EARLIER = set()


@pytest.fixture(autouse=True)
def _earlier():
    """Leave those out that belong to launchers of other tests."""
    EARLIER.clear()
    EARLIER.update(servers())


def servers(parent=None):
    """Pids of the fork servers of a process, this one if None."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = process.joinpath("cmdline").read_bytes()  # empty for a zombie
            stat = records.process_stat(int(process.name))
            if b"shim.fork_server" in command and stat[1] == str(parent or os.getpid()):
                found.add(int(process.name))
    return found - EARLIER


def begun(bench, script="echo begun; sleep 60", **fields):
    """Start a command that goes on; return the job's folder and the shim's pid."""
    folder = bench.bash(script, **fields)
    bench.await_text(folder, "begun")
    return folder, read_claim(folder).process.pid


def test_one_fork_server_begins_all_shims_and_has_nothing_of_them(bench):
    root_looks_into_them()
    pids = [begun(bench)[1] for _ in range(3)]
    (server,) = servers()
    assert {records.process_stat(pid)[1] for pid in pids} == {str(server)}
    assert len(list(Path(f"/proc/{server}/fd").iterdir())) == 3


def test_no_shim_becomes_a_zombie_of_its_fork_server(bench):
    folder, pid = begun(bench, "echo begun")
    bench.end(folder)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


# Lost at any moment


def test_killed_at_random_moments_no_start_is_lost_and_none_is_doubled(bench):
    over = threading.Event()
    rng = random.Random(1)

    def kill():
        while not over.wait(rng.uniform(0, 0.06)):
            for pid in servers():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    jobs = [bench.job("sh", "-c", f"echo ran >> {n}", execution_id=str(n)) for n in range(STARTS)]
    try:
        with ThreadPoolExecutor(4) as pool:
            for folder in list(pool.map(bench.start, jobs)):
                assert bench.end(folder).exit_code == 0
    finally:
        over.set()
        killer.join()
    wait_until(lambda: not bench.processes())
    ran = {path.name: path.read_text() for path in bench.root.joinpath("work").iterdir()}
    assert ran == {str(n): "ran\n" for n in range(STARTS)}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_one_that_ended_or_hangs_is_replaced_and_its_shims_go_on(bench, number):
    folder, _ = begun(bench, "echo begun; until [ -e go ]; do sleep 0.05; done; exit 7")
    (first,) = servers()
    os.kill(first, number)
    if number is not signal.SIGSTOP:
        wait_until(lambda: not servers())
    other = bench.bash("exit 3")
    assert bench.end(other).exit_code == 3
    (second,) = servers()
    assert second != first
    bench.root.joinpath("work", "go").touch()
    assert bench.end(folder).exit_code == 7


IMPORTED_FROM = [str(folder) for folder in Path(__file__).parents[:2]]
STARTER = """
import os, signal, sys
from pathlib import Path
from job_bench import JobBench
from app.engine.launchers.local import LocalLauncher
root = Path(sys.argv[1])
bench = JobBench(LocalLauncher(), root)
bench.bash("echo begun; until [ -e go ]; do sleep 0.05; done; exit 7")
print("started", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_it_ends_with_whoever_started_it_and_the_shims_do_not(bench, stopped):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(IMPORTED_FROM)}
    command = [sys.executable, "-c", STARTER, str(bench.root)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"started\n"
        (server,) = servers(process.pid)
        if stopped:
            os.kill(server, signal.SIGSTOP)
            wait_until(lambda: records.process_stat(server)[0] == "T")
        process.kill()
    wait_until(lambda: not Path(f"/proc/{server}").exists())
    folder = bench.root / "jobs" / "1"
    bench.await_text(folder, "begun")
    bench.root.joinpath("work", "go").touch()
    assert bench.end(folder).exit_code == 7


def test_it_ends_with_its_launcher(tmp_path):
    with JobBench(LocalLauncher(), tmp_path) as bench:
        bench.end(bench.bash("true"))
        assert len(servers()) == 1
        bench.launcher = None
    wait_until(lambda: not servers())


# Where there is none


def answering(fault):
    """Make the command line of a server that answers so."""
    program = f"""
import socket, struct
launcher = socket.socket(fileno=0)
while launcher.recv(9999):
    launcher.send(struct.pack({ANSWER.format!r}, 0, {fault}))
"""
    return (sys.executable, "-c", program)


ODD_SERVERS = {
    "cannot do it": answering(errno.ENOTSUP),
    "no such program": ("/no/such/program",),
    "ends at once": ("true",),
    "never answers": (sys.executable, "-c", "import signal; signal.pause()"),
}


@pytest.fixture
def without_server(monkeypatch):
    def without_server(odd="ends at once"):
        monkeypatch.setattr(starter, "fork_server_command", lambda: ODD_SERVERS[odd])

    return without_server


@pytest.mark.parametrize("odd", ODD_SERVERS)
def test_without_a_fork_server_shims_are_begun_all_the_same(bench, without_server, impatient, odd):
    without_server(odd)
    assert bench.end(bench.bash("exit 3")).exit_code == 3


@pytest.mark.parametrize("fault", [errno.EAGAIN, errno.ENOMEM])
def test_a_machine_that_makes_no_process_is_told_so(bench, monkeypatch, fault):
    monkeypatch.setattr(starter, "fork_server_command", lambda: answering(fault))
    job = bench.job("true")
    with pytest.raises(UpstreamUnreachable) as caught:
        bench.launcher.start(job)
    assert os.strerror(fault) in caught.value.detail
    assert not bench.processes()
    monkeypatch.undo()
    bench.launcher = LocalLauncher()
    bench.launcher.start(job)
    assert bench.end(job.folder).exit_code == 0


@pytest.mark.parametrize("fault", [errno.EAGAIN, errno.ENOMEM])
def test_a_fork_that_fails_is_an_answer(monkeypatch, fault):
    def fork():
        raise OSError(fault, "no")

    class Roomy:
        size = 9999

    monkeypatch.setattr(os, "fork", fork)
    assert fork_server._begin(b"x", [0, 1, 2], Roomy) == ANSWER.pack(0, fault)
    assert fork_server._begin(b"x", [0, 1], Roomy) == ANSWER.pack(0, errno.EMFILE)
    assert fork_server._begin(b"x" * 9999, [0, 1, 2], Roomy) == ANSWER.pack(0, errno.ENOTSUP)
    assert fork_server._begin(b"x", [0, 1, 2], None) == ANSWER.pack(0, errno.ENOTSUP)


# A shim that was forked is like one that was executed


def portrait(pid):
    """What the kernel tells of a process and does not depend on when it was looked at."""
    process = Path(f"/proc/{pid}")
    stat = records.process_stat(pid)
    kept = ("Name", "Umask", "Uid", "Gid", "Groups", "Sig", "Shd", "Cap", "NoNew", "Seccomp")
    lines = process.joinpath("status").read_text().splitlines()
    opened = {fd.name: str(fd.readlink()) for fd in process.joinpath("fd").iterdir()}
    return {
        "status": [s for s in lines if s.startswith(kept) and "SigQ" not in s],
        "limits": process.joinpath("limits").read_text(),
        "oom": process.joinpath("oom_score_adj").read_text(),
        "cgroup": process.joinpath("cgroup").read_text(),
        "leads": (stat[2] == str(pid), stat[3] == str(pid)),
        "terminal": stat[4],
        "nice": stat[16],
        "scheduling": (os.sched_getscheduler(pid), os.sched_getaffinity(pid)),
        "owner": process.joinpath("fd").stat().st_uid,
        "cwd": process.joinpath("cwd").readlink().parent,
        "command": process.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")[:-1],
        "environment": names(process / "environ") - {"PWD"},  # which is a shell's
        "open": {fd: kind.split(":")[0].replace("/2/", "/1/") for fd, kind in opened.items()},
    }


def names(environ):
    return {line.partition("=")[0] for line in environ.read_text().split("\0") if line}


@pytest.fixture
def strange_process(monkeypatch):
    """Make this process one with much to inherit."""
    monkeypatch.setenv("SLIPWAY_MASTER_KEY", "secret")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/no/such/folder")
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    umask = os.umask(0o027)
    yield
    os.umask(umask)
    signal.signal(signal.SIGHUP, hangup)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    os.close(reading)
    os.close(writing)


def test_a_forked_shim_is_like_an_executed_one(strange_process, tmp_path, without_server):
    with JobBench(LocalLauncher(), tmp_path) as bench:
        folder, pid = begun(bench)
        forked = portrait(pid)
        (server,) = servers()
        assert records.process_stat(pid)[1] == str(server)
        without_server()
        bench.launcher = LocalLauncher()
        executed = portrait(begun(bench)[1])
    assert forked == executed
    assert forked["environment"] == {"LD_LIBRARY_PATH"}
    assert forked["open"].keys() >= {"0", "1", "2"}
    assert [forked["open"][fd] for fd in "012"] == [
        os.devnull,
        os.devnull,
        str(folder / "shim.err"),
    ]


FOLDERS = {
    "plain": "plain",
    "blanks": " a  b ",
    "line feed": "a\nb",
    "not UTF-8": os.fsdecode(b"\xff\xfe"),
    "longer than a page": "/".join(["x" * 250] * 14),
    "longest": "longest",
}


def folder_named(name, root):
    if name != "longest":
        return root / FOLDERS[name]
    most = 4095 - len(os.fsencode(root)) - len("/claim.json.0123456789ab")
    return root.joinpath(*["y" * 200] * (most // 201))


@pytest.mark.parametrize("forked", [True, False])
@pytest.mark.parametrize("name", FOLDERS)
def test_a_shim_shows_its_folder_however_that_is_named(bench, without_server, name, forked):
    if not forked:
        without_server()
    folder = folder_named(name, bench.root)
    job = bench.job("sleep", "60", folder=folder)
    bench.start(job)
    claim = wait_until(lambda: (c := read_claim(folder)) and c.started_at and c)
    command = Path(f"/proc/{claim.process.pid}/cmdline").read_bytes()
    wanted = b"".join(os.fsencode(part) + b"\0" for part in shim_command(folder))
    assert command.rstrip(b"\0") + b"\0" == wanted
    shims, others = remains(folder)
    assert shims == [claim.process.pid]
    assert len(others) == 1
    assert Path(f"/proc/{others[0]}/cmdline").read_bytes() == b"sleep\x0060\0"
    assert remains(folder.parent) == remains(folder.with_name("z")) == ([], [])
    end(folder, None, force=False)
    assert bench.end(folder).exit_code == 143


def test_what_has_more_arguments_than_a_shim_is_none(bench):
    folder = bench.root / "jobs" / "x"
    with subprocess.Popen([*shim_command(folder), "more"], stdin=subprocess.PIPE) as process:
        assert remains(folder) == ([], [])
        process.kill()


def test_a_folder_that_is_gone_is_told_and_nothing_is_begun(bench, monkeypatch):
    job = bench.job("true")
    bench.launcher.prepare(job)
    monkeypatch.setattr(bench.launcher, "prepare", lambda _: shutil.rmtree(job.folder))
    monkeypatch.setattr(os, "utime", lambda *_: None)
    with pytest.raises(UpstreamUnreachable):
        bench.launcher.start(job)
    assert bench.launcher.state(job.folder).phase is JobPhase.ABSENT
    assert not bench.processes()

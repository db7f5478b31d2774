"""What only ``engine.run_as`` promises: another user, and a helper that may be lost at any time."""

import os
import pwd
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from job_bench import JobBench, make_launcher, wait_until
from kit.other_user import by_sudo, user_of_rig, within_reach
from kit.patience import PATIENCE_SECONDS

from app.engine.launchers import broker_link
from app.engine.launchers.base import JobPhase
from app.engine.launchers.broker_link import Helper
from app.engine.launchers.run_as import Account, check_account
from app.engine.launchers.shim.records import process_stat
from app.errors import ConfigError, UpstreamUnreachable


@pytest.fixture(scope="module")
def commands_user():
    """One whose helpers are those of these tests alone."""
    yield from user_of_rig("-alone")


@pytest.fixture
def launcher_name(commands_user):
    return "kit.other_user:Rig"


def processes_of(user, word):
    """Pids of what a user runs, by a word of its command line."""
    uid = pwd.getpwnam(user).pw_uid
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = process.joinpath("cmdline").read_bytes()
            status = process.joinpath("status").read_text()
            if f"\nUid:\t{uid}\t" in status and word in command and b"sudo" not in command:
                found.append(int(process.name))
    return found


def helpers(user):
    return processes_of(user, b"app.engine.launchers.broker")


def test_commands_and_all_that_they_leave_are_that_user_s(bench, commands_user):
    work = bench.root / "executions" / "e" / "work"
    bench.launcher.make_work_folder(work, {"a/b": "text", "c": "#!/bin/sh"}, begun=False)
    job = bench.job("bash", "-c", "umask; id -un; cat a/b; ./c; : > made", working_dir=work)
    bench.start(job)
    assert bench.end(job.folder).exit_code == 0
    assert bench.texts(job.folder)[1:] == [commands_user, "text"]
    uid = pwd.getpwnam(commands_user).pw_uid
    assert bench.texts(job.folder)[0] == f"{umask():04o}"
    for path in bench.root.rglob("*"):
        assert path.stat().st_uid == uid
        allowed = 0o777 if path.name == "made" else 0o700
        assert path.stat().st_mode & 0o777 & ~allowed == 0, path


def umask():
    before = os.umask(0o22)
    os.umask(before)
    return before


def test_one_helper_serves_all_calls_and_is_replaced_when_it_is_killed(bench, commands_user):
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")
    (first,) = helpers(commands_user)
    os.kill(first, signal.SIGKILL)
    assert bench.launcher.state(folder).phase is JobPhase.RUNNING
    (second,) = helpers(commands_user)
    assert second != first
    bench.launcher.cancel(folder)
    assert bench.end(folder).cancelled
    assert helpers(commands_user) == [second]


def test_shims_are_forks_of_a_server_of_that_user_which_ends_with_the_helper(bench, commands_user):
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")
    (helper,) = helpers(commands_user)
    (server,) = processes_of(commands_user, b"shim.fork_server")
    (shim,) = processes_of(commands_user, b"shim.supervisor")
    assert process_stat(server)[1] == str(helper)
    assert process_stat(shim)[1] == str(server)
    peeking = bench.bash(f"cat /proc/{server}/environ /proc/{server}/mem; ls /proc/{server}/fd")
    assert bench.end(peeking).exit_code != 0
    assert sum("Permission denied" in text for text in bench.texts(peeking)) == 3
    os.kill(helper, signal.SIGKILL)
    wait_until(lambda: not processes_of(commands_user, b"shim.fork_server"))
    assert bench.launcher.state(folder).phase is JobPhase.RUNNING


def test_a_helper_that_hangs_is_ended_and_replaced(bench, commands_user, monkeypatch):
    folder = bench.bash("echo ran; sleep 60")
    bench.await_text(folder, "ran")
    (first,) = helpers(commands_user)
    os.kill(first, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(broker_link, "_CALL_SECONDS", 0.2)
        with pytest.raises(UpstreamUnreachable):
            bench.launcher.state(folder)
    assert bench.launcher.state(folder).phase is JobPhase.RUNNING
    wait_until(lambda: first not in helpers(commands_user))
    assert len(helpers(commands_user)) == 1


@pytest.fixture
def listener():
    """A bench and the user of its commands; who listens does so until the process ends."""
    for name in user_of_rig("-listener"):
        folder = Path(pwd.getpwnam(name).pw_dir)
        with JobBench(make_launcher("kit.other_user:Rig", folder), folder) as bench:
            yield bench, name


def test_a_helper_that_listens_and_hangs_is_ended_and_replaced(listener, monkeypatch):
    bench, user = listener
    woken = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(broker_link, "_CALL_SECONDS", 0.5)
        bench.launcher.listen(lambda _: woken.set())
        (first,) = helpers(user)
        os.kill(first, signal.SIGSTOP)
        wait_until(lambda: first not in helpers(user))
    bench.bash("until false; do echo line; sleep 0.1; done")
    assert woken.wait(PATIENCE_SECONDS)


def test_a_command_can_end_the_helper_and_gains_nothing(bench, commands_user):
    job = bench.job(
        "bash", "-c", "echo ran; sleep 0.2; pkill -9 -u $UID -f [l]aunchers.broker; echo on"
    )
    bench.start(job)
    assert bench.end(job.folder).exit_code == 0
    assert bench.texts(job.folder) == ["ran", "on"]


STARTER = """
import os, signal, sys
from pathlib import Path
from job_bench import JobBench, make_launcher
root = Path(sys.argv[1])
bench = JobBench(make_launcher("kit.other_user:Rig", root), root)
bench.launcher.listen(str)
bench.bash("echo ran; until [ -e go ]; do sleep 0.05; done; exit 7")
print("begun", flush=True)
signal.pause()
"""


def test_helpers_end_with_whoever_started_them_and_shims_do_not(launcher_name, root, commands_user):
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", STARTER, str(root)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as starter:
        begun = starter.stdout.readline()
        running = helpers(commands_user)
        starter.kill()
    assert begun == b"begun\n"
    assert len(running) == 2
    wait_until(lambda: not helpers(commands_user))
    with JobBench(make_launcher(launcher_name, root), root) as bench:
        folder = root / "jobs" / "1"
        bench.await_text(folder, "ran")
        root.joinpath("work", "go").touch()
        assert bench.end(folder).exit_code == 7


def test_other_commands_cannot_look_into_the_helper(bench, commands_user):
    bench.launcher.state(bench.root / "none")
    (pid,) = helpers(commands_user)
    folder = bench.bash(f"cat /proc/{pid}/environ /proc/{pid}/mem; ls /proc/{pid}/fd")
    assert bench.end(folder).exit_code != 0
    assert sum("Permission denied" in text for text in bench.texts(folder)) == 3


# The check


def check(user, folder, secret=()):
    through = (*within_reach(), *by_sudo(user))
    check_account(Account(user, folder, "/"), secret, through)


def fault_of(*args):
    with pytest.raises(ConfigError) as caught:
        check(*args)
    (fault,) = caught.value.fields
    assert fault.path == "engine.run_as"
    return fault.message


def test_the_check_finds_no_fault(commands_user, root, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    check(commands_user, root, [secret, secret / "missing"])


def test_the_check_names_what_is_wrong_with_the_folder(commands_user, root, tmp_path):
    assert "cannot be used" in fault_of(commands_user, root / "missing")
    assert "cannot be used" in fault_of(commands_user, tmp_path)
    assert "must be a folder that belongs to that user" in fault_of(commands_user, Path("/usr"))
    root.chmod(0o750)
    assert "0750, not 0700" in fault_of(commands_user, root)


def test_the_check_names_what_can_be_read(commands_user, root):
    assert f"must not be able to read {root}" in fault_of(commands_user, root, [root])
    assert "/etc/passwd" in fault_of(commands_user, root, [Path("/etc/passwd")])


def test_the_check_names_what_can_be_changed(commands_user, root):
    data = root / "data"
    data.mkdir(mode=0o700)
    message = fault_of(commands_user, root, [data])
    assert f"must not be able to change {root}" in message


def test_the_check_says_what_sudo_says(root):
    with pytest.raises(ConfigError) as caught:
        check_account(Account("no-such-user", root, "/"), [])
    assert "unknown user" in caught.value.fields[0].message


def test_a_helper_leaves_nothing_of_itself(commands_user, root):
    helper = Helper((*within_reach(), *by_sudo(commands_user)), root)
    assert len(helpers(commands_user)) == 1
    helper.close()
    wait_until(lambda: not helpers(commands_user))
    assert list(root.iterdir()) == []

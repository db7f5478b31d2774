"""The supervisor, with children that are small programs of the test's own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit.patience import PATIENCE_SECONDS

from app.cli._supervisor import Child, Supervisor

GIVES_SIGNS = """
import click
from app.cli._lifeline import Lifeline, lifeline_option
from app.cli._process import guard_process
import sys, threading, time

@click.command()
@lifeline_option
def main(lifeline_fd):
    guard_process()
    stop = threading.Event()
    lifeline = Lifeline(lifeline_fd)
    lifeline.tell_at_work(60)
    lifeline.hold(stop.set, 1)
    stop.wait()

main()
"""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    made: list[Child] = []

    def make(program: str) -> Child:
        (tmp_path / "program.py").write_text(program, encoding="utf-8")
        env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[3]}"}
        made.append(Child("one", "program", 60.0, env))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None:
            one.process.kill()
            one.process.wait()
            one.bury()


@pytest.fixture
def supervisor(child: Callable[[str], Child]) -> Callable[[Child], Supervisor]:
    return lambda *children: Supervisor(children, ("127.0.0.1", 1), 5.0)


def tend_until(supervisor: Supervisor, child: Child, condition: Callable[[], object]) -> int:
    """Look after a child until something is true; return the exit status asked for meanwhile."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at
        if status := supervisor._tend(child, 0.01):
            return status
        time.sleep(0.01)
    return 0


def test_a_child_that_gives_signs_of_life_is_not_silent(child, supervisor):
    one = child(GIVES_SIGNS)
    tend_until(supervisor(one), one, lambda: one.at_work)
    assert one.silent_seconds == 0.0
    assert one.proven
    one.listen(59.0)
    assert not one.is_silent


def test_one_that_is_stopped_is_killed_and_another_takes_its_place(child, supervisor):
    one = child(GIVES_SIGNS)
    tend_until(supervisor(one), one, lambda: one.at_work)
    first = one.process
    first.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WNOWAIT)
    one.listen(0.0)  # what it sent before
    one.silent_seconds = 61.0
    tend_until(supervisor(one), one, lambda: one.process not in (None, first))
    assert first.returncode == -signal.SIGKILL
    assert not one.at_work
    tend_until(supervisor(one), one, lambda: one.at_work)


def test_a_template_that_is_silent_is_not_asked_for_forks(child, supervisor):
    one = child(GIVES_SIGNS)
    tend_until(supervisor(one), one, lambda: one.at_work)
    assert one.can_fork
    one.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, one.process.pid, os.WSTOPPED | os.WNOWAIT)
    one.listen(0.0)  # what it sent before
    one.listen(5.0)
    assert not one.is_silent
    assert not one.can_fork
    fork = Child("two", "program", 60.0, {}, template=one)
    supervisor(one, fork)._tend(fork, 0.01)
    assert fork.process is None


def test_one_that_is_stuck_says_where(child, supervisor, capfd):
    one = child(GIVES_SIGNS)
    tend_until(supervisor(one), one, lambda: one.at_work)
    assert one.put_down() == -signal.SIGABRT
    assert "in main" in capfd.readouterr().err


def test_one_has_more_time_before_its_first_sign_of_life(child):
    one = child("import time; time.sleep(600)")
    one.silence_seconds = 2.0
    one.start()
    one.listen(59.0)
    assert not one.is_silent
    one.listen(2.0)
    assert one.is_silent


def test_time_in_which_the_supervisor_was_stopped_itself_does_not_count(child, monkeypatch):
    one = child(GIVES_SIGNS)
    passed = []
    monkeypatch.setattr(
        Supervisor,
        "_tend",
        lambda self, child, seconds: passed.append(seconds) or (len(passed) > 1),
    )
    moments = iter([0.0, 1.0, 3600.0])
    monkeypatch.setattr("app.cli._supervisor.time.monotonic", lambda: next(moments, 3601.0))
    monkeypatch.setattr("app.cli._supervisor.catch_stop_signals", lambda: os.pipe()[0])
    assert Supervisor([one], ("127.0.0.1", 1), 0.1).run(print)
    assert passed == [0.5, 0.5]


def test_settings_that_are_wrong_at_the_first_start_end_the_service(child, supervisor):
    one = child("raise SystemExit(2)")
    assert tend_until(supervisor(one), one, lambda: False) == 2


def test_settings_that_are_wrong_after_a_long_start_end_the_service_too(child, supervisor):
    one = child(
        GIVES_SIGNS.replace("    lifeline.tell_at_work(60)\n", "").replace(
            "stop.wait()", "time.sleep(0.5); sys.exit(2)"
        )
    )
    assert tend_until(supervisor(one), one, lambda: False) == 2
    assert not one.proven


def test_settings_that_became_wrong_end_nothing_and_are_tried_again(child, supervisor):
    one = child(GIVES_SIGNS)
    tend_until(supervisor(one), one, lambda: one.at_work)
    child("raise SystemExit(2)")
    one.process.terminate()
    assert tend_until(supervisor(one), one, lambda: one.failures >= 3) == 0
    child(GIVES_SIGNS)
    assert tend_until(supervisor(one), one, lambda: one.at_work) == 0


def test_settings_that_became_wrong_end_nothing_where_one_of_several_alike_was_at_work(
    child, supervisor
):
    one, other = child(GIVES_SIGNS), child(GIVES_SIGNS)
    both = supervisor(one, other)
    tend_until(both, one, lambda: one.at_work)
    child("raise SystemExit(2)")
    assert tend_until(both, other, lambda: other.failures >= 2) == 0
    assert not other.proven


def test_a_machine_without_room_for_a_process_is_asked_again(child, supervisor, monkeypatch):
    def full(*args, **kwargs):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    one = child(GIVES_SIGNS)
    with monkeypatch.context() as patch:
        patch.setattr("app.cli._supervisor.subprocess.Popen", full)
        assert tend_until(supervisor(one), one, lambda: one.failures == 2) == 0
        assert one.process is None
    assert tend_until(supervisor(one), one, lambda: one.at_work) == 0


def test_children_have_the_time_to_stop_that_they_are_given(child):
    slow = (
        "import signal, time\nsignal.signal(15, lambda *_: (time.sleep({}), exit(0)))\nprint(1)\n"
    )
    outcomes = {}
    for seconds in (1, 600):
        one = child(slow.format(seconds) + "while True: time.sleep(600)")
        one.start()
        process = one.process
        _await_handler(process.pid)
        Supervisor([one], ("127.0.0.1", 1), 60.0 if seconds == 1 else 0.1)._end()
        outcomes[seconds] = process.returncode
    assert outcomes == {1: 0, 600: -signal.SIGKILL}


def _await_handler(pid: int) -> None:
    """Wait until a process catches SIGTERM: proc(5), SigCgt."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if caught & 1 << (signal.SIGTERM - 1):
            return
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def run(program: str, **kwargs: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program], text=True, stdout=subprocess.PIPE, **kwargs
    )  # type: ignore[call-overload]


def test_a_stop_signal_does_not_wait_for_a_lock_of_the_thread_that_it_interrupts():
    process = run("""
import os, signal, threading
from app.cli._signals import on_stop_signal
lock, done = threading.Lock(), threading.Event()
def stop():
    with lock:
        done.set()
on_stop_signal(stop)
with lock:
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(100_000):
        pass
print(done.wait(20))
""")
    assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "True\n"


def test_a_process_that_is_stopped_without_a_supervisor_is_ended_by_the_kernel():
    process = run("""
import os, signal
from app.cli._lifeline import _KillTimer
timer = _KillTimer()
timer.wind(3600)
timer.wind(0.2)
os.kill(os.getpid(), signal.SIGSTOP)
""")
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL


def test_the_timer_is_not_that_of_a_command_which_the_process_begins():
    process = run("""
import os, subprocess
from app.cli._lifeline import _KillTimer
_KillTimer().wind(0.2)
os.execv("/bin/sh", ["sh", "-c", "sleep 0.6; echo there"])
""")
    assert process.communicate(timeout=PATIENCE_SECONDS) == ("there\n", None)


def test_a_child_stops_when_its_supervisor_is_gone():
    ours, theirs = socket.socketpair()
    process = run(
        f"""
import threading
from app.cli._lifeline import Lifeline
stop = threading.Event()
Lifeline({theirs.fileno()}).hold(stop.set, 60)
print(stop.wait(20))
""",
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    assert ours.recv(1) == b"s"
    ours.close()
    assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "True\n"


def test_a_process_alone_gives_its_signs_of_life_to_systemd(tmp_path, monkeypatch):
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(PATIENCE_SECONDS)
        process = run(
            """
import time
from app.cli._lifeline import Lifeline
lifeline = Lifeline(None)
lifeline.hold(print, 60)
lifeline.tell_at_work(60)
time.sleep(20)
""",
            env={**os.environ, "NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "2000000"},
        )
        said = {manager.recv(100) for _ in range(2)}
        process.kill()
        process.communicate()
    assert said == {b"READY=1", b"WATCHDOG=1"}


def test_other_processes_of_the_user_cannot_look_into_a_guarded_one():
    process = run("""
import os
from app.cli._process import guard_process
guard_process()
print(os.stat("/proc/self/environ").st_uid, oct(os.umask(0)), flush=True)
import ctypes
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
""")
    assert process.communicate(timeout=PATIENCE_SECONDS)[0] == "0 0o77\n0\n"


def test_nothing_of_this_leaves_a_thread_behind():
    assert not [t for t in threading.enumerate() if t.name in ("lifeline", "signals")]


ASKS_FOR_A_SLAVE = GIVES_SIGNS.replace(
    "lifeline.tell_at_work(60)", "lifeline.tell_at_work(60); lifeline.want_slave()"
)


def test_what_is_kept_back_starts_when_another_child_asks_for_it(child, supervisor):
    one = child(ASKS_FOR_A_SLAVE)
    kept = Child("kept", "program", 60.0, one.env, on_demand=True)
    both = supervisor(one, kept)
    for _ in range(3):
        both._tend(kept, 0.01)
    assert kept.process is None
    tend_until(both, one, lambda: kept.is_wanted)
    tend_until(both, kept, lambda: kept.at_work)
    kept.process.kill()
    kept.process.wait()
    first = kept.process.pid
    tend_until(both, kept, lambda: kept.process is not None and kept.process.pid != first)
    kept.process.kill()
    kept.process.wait()
    kept.bury()


def test_the_service_goes_on_without_what_is_kept_back(child, supervisor):
    kept = child("import sys; sys.exit(2)")
    kept.on_demand = kept.is_wanted = True
    both = supervisor(kept)
    assert tend_until(both, kept, lambda: kept.failures >= 2) == 0
    assert kept not in both._to_reload

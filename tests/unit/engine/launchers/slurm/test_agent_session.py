"""Speaking with the program on a login node: how it begins, and how it is lost."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
import zlib
from pathlib import Path

import pytest
from kit.agent_jobs import Node, look, prepare, result, sbatch, specification, submit, texts
from kit.agents import PipeChannel
from kit.patience import PATIENCE_SECONDS, await_that
from kit.pythons import OLD, old_python

from app.engine.launchers.messages import pack
from app.engine.launchers.slurm.package import command, job_package, program
from app.engine.launchers.slurm.remote import MAX_ANSWER_BYTES, AgentSession
from app.errors import SlipwayError, UpstreamTimeout, UpstreamUnreachable

SHELLS = [*filter(shutil.which, ["bash", "dash", "sh", "zsh", "csh", "tcsh", "fish"])]
HELLO = {"workdir": "w", "version": None, "digest": None}


def begin(seconds=PATIENCE_SECONDS, **given):
    channel = PipeChannel(**given)
    return AgentSession(channel, start_seconds=seconds), channel


def hello(session):
    return session.call("hello", HELLO, timeout=PATIENCE_SECONDS).result


def answers(session, timeout=PATIENCE_SECONDS, seconds=600):
    """Ask for something that takes long, in a thread; return its outcomes, and the thread."""
    outcomes = []
    asked = {"program": {"argv": ["sleep", str(seconds)], "timeout_seconds": seconds},
             "most_bytes": 1}  # fmt: skip

    def call():
        try:
            outcomes.append(session.call("run", asked, timeout=timeout).result)
        except SlipwayError as exc:
            outcomes.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    return outcomes, thread


class Cut:
    """A channel that is cut after so many bytes that came or went; then it only fails."""

    def __init__(self, inner, *, reads=1 << 40, writes=1 << 40):
        self.inner = inner
        self.reads, self.writes = reads, writes

    @property
    def errors(self):
        return self.inner.errors

    def write(self, data):
        part = data[: self.writes]
        self.writes -= len(part)
        self.inner.write(part)
        if len(part) < len(data):
            self.inner.process.stdin.close()
            raise ConnectionError("cut")

    def read(self, most, timeout):
        if not self.reads:
            raise ConnectionError("cut")
        data = self.inner.read(min(most, self.reads), timeout)
        self.reads -= len(data)
        return data

    def close(self):
        self.inner.close()


@pytest.mark.parametrize("version", OLD)
def test_it_serves_under_an_old_python(version, tmp_path):
    python = old_python(version)
    session, channel = begin(python=python)
    assert hello(session)["python"].startswith(version)
    folder = tmp_path / "ü"
    prepare(session, folder, script="#!/bin/sh\necho äö; echo x=1 > $SLIPWAY_OUTPUT")
    told = specification(folder, str(folder / "script"), setup=["export A=b"], files=["script"])
    assert submit(session, sbatch("echo 7"), (folder, told))["jobs"][0]["id"] == 7
    assert Node(tmp_path, python).run(folder) == 0
    assert texts(folder) == ["äö"]
    assert result(folder)["exit_code"] == 0
    seen, data = look(session, folder)
    assert seen["growth"] == len(data) > 0
    for verb, arguments in (
        ("outputs", {"folder": str(folder)}),
        ("read", {"folder": str(folder), "offset": 0, "most_bytes": 9}),
        ("usage", {"folder": str(folder)}),
        ("refuse", {"folder": str(folder), "cancelled": False}),
        ("cancel", {"jobs": [{"folder": str(folder), "program": None}]}),
        ("pause", {"jobs": [{"folder": str(folder), "program": None}]}),
        ("resume", {"jobs": [{"folder": str(folder), "program": None}]}),
        ("tidy", {"jobs": [{"folder": str(folder)}]}),
        ("work_folder", {"folder": f"{tmp_path}/w", "files": {"a/ü": ""}, "begun": False}),
        ("stage", {"folder": f"{tmp_path}/w", "paths": ["a/ü"]}),
        ("check", {"root": str(tmp_path), "quota": None}),
        ("remove", {"folder": f"{tmp_path}/w", "seconds": PATIENCE_SECONDS}),
    ):
        session.call(verb, arguments, timeout=PATIENCE_SECONDS)
    session.close()
    assert channel.process.returncode == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_takes_the_command(shell):
    ran = subprocess.run(
        [shell, "-c", command()], input=program("n0nce"), capture_output=True, check=True
    )
    assert ran.stdout == b"\nn0nce\n"


def test_what_a_login_prints_is_thrown_away():
    before = "echo Welcome to the cluster; head -c 100000 /dev/zero; printf 'no line feed'"
    session, _ = begin(before=before)
    assert hello(session)["umask"] >= 0
    session.close()


def test_a_login_that_does_not_end_is_not_awaited():
    with pytest.raises(UpstreamUnreachable, match="in time; the login said: Patience"):
        begin(0.3, before="echo Patience; sleep 600", leave_seconds=0)


def test_a_login_that_prints_without_end_is_left():
    with pytest.raises(UpstreamUnreachable, match="prints without end"):
        begin(before="yes", leave_seconds=0)


def test_what_a_login_says_instead_is_shown():
    with pytest.raises(UpstreamUnreachable, match="This account is closed"):
        begin(before="echo This account is closed.; exit 1")
    with pytest.raises(UpstreamUnreachable, match="nowhere/python"):
        begin(python="/nowhere/python")


def test_it_ends_with_its_input_and_what_it_runs_ends_with_it(tmp_path):
    session, channel = begin()
    asked = {"argv": ["sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 600 & wait"],
             "timeout_seconds": 600}  # fmt: skip
    arguments = {"program": asked, "most_bytes": 1}

    def call():
        with pytest.raises(UpstreamTimeout):
            session.call("run", arguments, timeout=PATIENCE_SECONDS)

    thread = threading.Thread(target=call)
    thread.start()
    pid = int(await_that(lambda: _text(tmp_path / "pid")))
    session.close()
    assert channel.process.returncode == 0
    await_that(lambda: not Path(f"/proc/{pid}").exists())
    thread.join(PATIENCE_SECONDS)
    assert not session.alive


def _text(path):
    return path.read_text().strip() if path.exists() else ""


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGHUP])
def test_a_submission_under_way_is_noted_at_the_end(tmp_path, number):
    session, channel = begin()
    folder = tmp_path / "job"
    prepare(session, folder)
    script = f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; echo 41"
    outcome = []

    def call():
        with pytest.raises(UpstreamTimeout) as caught:
            submit(session, sbatch(script), (folder, specification(folder, "true")))
        outcome.append(caught.value)

    thread = threading.Thread(target=call)
    thread.start()
    await_that((tmp_path / "begun").exists)
    if number is None:
        channel.process.stdin.close()
    else:
        os.kill(channel.process.pid, number)
    tmp_path.joinpath("go").touch()
    thread.join(PATIENCE_SECONDS)
    assert outcome
    channel.process.wait(PATIENCE_SECONDS)
    again, _ = begin()
    told = specification(folder, "true")
    assert submit(again, sbatch("echo 42"), (folder, told))["jobs"][0]["id"] == 41
    again.close()


def test_a_killed_agent_is_noticed_at_once():
    session, channel = begin()
    outcomes, thread = answers(session)
    os.killpg(channel.process.pid, signal.SIGKILL)
    thread.join(PATIENCE_SECONDS)
    # What was not sent by then surely did not happen.
    assert isinstance(outcomes[0], UpstreamTimeout | UpstreamUnreachable)
    assert not session.alive
    with pytest.raises(UpstreamUnreachable):
        hello(session)


def test_a_request_of_which_a_part_was_lost_is_not_carried_out(tmp_path):
    for more in (1, 7, 8, 9, 40, 120):
        channel = PipeChannel()
        cut = Cut(channel)
        session = AgentSession(cut, start_seconds=PATIENCE_SECONDS)
        cut.writes = more
        asked = {"folder": f"{tmp_path}/{more}", "files": {"a": "x" * 100}, "begun": False}
        with pytest.raises(UpstreamUnreachable):
            session.call("work_folder", asked, timeout=PATIENCE_SECONDS)
        assert channel.process.wait(PATIENCE_SECONDS) == 0
        assert not session.alive
    assert list(tmp_path.iterdir()) == []


def test_an_answer_of_which_a_part_was_lost_is_none():
    for more in (1, 7, 8, 9, 40):
        cut = Cut(PipeChannel(), reads=34 + more)
        session = AgentSession(cut, start_seconds=PATIENCE_SECONDS)
        with pytest.raises(UpstreamTimeout):
            hello(session)
        await_that(lambda session=session: not session.alive)
        session.close()


def test_an_answer_that_is_late_disturbs_no_other():
    session, _ = begin()
    outcomes, thread = answers(session, timeout=0.05, seconds=0.5)
    thread.join(PATIENCE_SECONDS)
    assert isinstance(outcomes[0], UpstreamTimeout)
    time.sleep(0.6)
    assert hello(session)["python"]
    session.close()


def test_too_many_requests_at_once_are_turned_away():
    session, _ = begin()
    given = [answers(session) for _ in range(8 + 256)]
    with pytest.raises(UpstreamUnreachable, match="too much to do"):
        await_that(lambda: hello_now(session))
    assert session.alive
    session.close()
    for _, thread in given:
        thread.join(PATIENCE_SECONDS)


def hello_now(session):
    try:
        return session.call("hello", HELLO, timeout=0.5).result
    except UpstreamTimeout:
        return None


class Liar:
    """A channel on which an account says what it likes."""

    errors = b""

    def __init__(self, *said):
        self._said = list(said)
        self._begun = threading.Event()
        self.closed = threading.Event()

    def write(self, data):
        if not self._begun.is_set():
            nonce = re.search(rb"[0-9a-f]{32}", zlib.decompress(
                data.partition(b"\n")[2]))[0]  # fmt: skip
            self._said.insert(0, b"\n" + nonce + b"\n")
            self._begun.set()

    def read(self, most, timeout):
        if self._said:
            return self._said.pop(0)
        self.closed.wait(timeout)
        if self.closed.is_set():
            raise ConnectionError("closed")
        raise TimeoutError

    def close(self):
        self.closed.set()


@pytest.mark.parametrize(
    "said",
    [
        b"\xff" * 8,
        pack({"id": {}}),
        pack({"id": None}),
        pack([]),
        pack("x"),
        b"\0\0\0\2\0\0\0\0{]",
        b"\0\1\x86\xa0\0\0\0\0" + b"[" * 100_000,
        (MAX_ANSWER_BYTES + 1).to_bytes(4, "big") + b"\0" * 4,
    ],
)
def test_who_makes_no_sense_is_left(said):
    channel = Liar(said)
    session = AgentSession(channel, start_seconds=PATIENCE_SECONDS)
    await_that(lambda: not session.alive)
    assert channel.closed.wait(PATIENCE_SECONDS)
    with pytest.raises(UpstreamUnreachable):
        hello(session)
    session.close()


def test_answers_that_nobody_asked_for_are_thrown_away():
    channel = Liar(pack({"id": 77, "result": 1}), pack({"id": 1, "result": {"a": 1}}, b"x"))
    session = AgentSession(channel, start_seconds=PATIENCE_SECONDS)
    assert session.alive
    session.close()


def test_the_program_of_jobs_is_the_same_each_time():
    job_package.cache_clear()
    before = job_package()
    job_package.cache_clear()
    assert job_package() == before

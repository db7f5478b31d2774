"""The user of the commands, and what a helper of that user may say."""

import os
import pwd
import struct
import sys
from pathlib import Path

import pytest

from app.engine.launchers import broker_link
from app.engine.launchers.base import JobPhase, LauncherContext, NoOptions
from app.engine.launchers.broker_link import Helper, NotStarted
from app.engine.launchers.local import wake_for_each
from app.engine.launchers.messages import pack, unpack
from app.engine.launchers.registry import create_launcher
from app.engine.launchers.run_as import Account, RunAsLauncher, find_account
from app.engine.launchers.shim.records import HEADER, identity
from app.errors import ConfigError, InvalidRequest, UpstreamError, UpstreamUnreachable
from app.settings.schema import Chosen

FOLDER = Path("/no/such/folder")
ANSWERS = """
import os, sys
if os.fork():
    os._exit(0)
answers = [bytes.fromhex(answer) for answer in {answers!r}]
for answer in answers:
    os.read(0, 65536)
    os.write(1, answer)
while os.read(0, 65536):
    pass
"""


def telling(*answers):
    """Make a launcher whose helper says these things, whatever it is asked for."""
    text = ANSWERS.format(answers=[answer.hex() for answer in (pack(identity()), *answers)])
    account = Account("nobody", FOLDER, "/")
    return RunAsLauncher(account, (sys.executable, "-I", "-S", "-c", text))


def state(**fields):
    return pack(
        {
            "phase": "running", "node": None, "process": None, "pause_asked": False,
            "lingers": False, "exit_code": None, "timed_out": False, "cancelled": False,
            "started_at": None, "finished_at": None, "reason": None, **fields,
        }
    )  # fmt: skip


# The account


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no-such-user", "there is no user 'no-such-user'"),
        ("", "there is no user"),
        ("root", "must not be root"),
        (pwd.getpwuid(os.geteuid()).pw_name, "must"),
    ],
)
def test_users_as_whom_no_command_may_run(name, words):
    with pytest.raises(ConfigError) as caught:
        find_account(name, None)
    (fault,) = caught.value.fields
    assert fault.path == "engine.run_as"
    assert words in fault.message


def test_the_service_s_own_user_is_no_other(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam("nobody").pw_uid)
    with pytest.raises(ConfigError) as caught:
        find_account("nobody", None)
    assert "another user than the one that the service runs as" in caught.value.fields[0].message


def test_an_account_and_its_variables():
    assert find_account(None, None) is None
    with pytest.raises(ConfigError):
        find_account(None, Path("/somewhere"))
    found = find_account("nobody", None)
    home = pwd.getpwnam("nobody").pw_dir
    assert (found.name, found.folder) == ("nobody", Path(home))
    found = find_account("nobody", Path("/somewhere"))
    assert found.executions_dir == Path("/somewhere/executions")
    base = {"HOME": "/root", "USER": "root", "PATH": "/bin"}
    assert found.environment(base) == {"HOME": home, "USER": "nobody", "PATH": "/bin"}


def test_only_the_local_launcher_runs_as_another_user(tmp_path):
    account = Account("nobody", tmp_path, "/")
    context = LauncherContext(tmp_path, account)
    assert isinstance(create_launcher(Chosen("local", NoOptions()), context), RunAsLauncher)
    with pytest.raises(ConfigError):
        create_launcher(Chosen("app.engine.launchers.local:LocalLauncher", NoOptions()), context)


# The helper


def test_a_helper_that_cannot_be_started_says_why():
    for through, words in [
        (("/no/such/program",), "/no/such/program cannot be run: No such file"),
        (("sh", "-c", "echo first >&2; echo a password is required >&2; exit 1"), "a password"),
        ((sys.executable, "-c", "pass"), "does not answer"),
    ]:
        with pytest.raises(NotStarted, match=words):
            Helper(through, FOLDER)


def test_a_helper_that_refuses_its_folder(tmp_path):
    for folder, words in [
        (FOLDER, "No such file"),
        (tmp_path, "0755"),
        (Path("/dev/null"), "must"),
    ]:
        tmp_path.chmod(0o755)
        with pytest.raises(NotStarted, match=words):
            Helper(("env",), folder)


@pytest.mark.parametrize(
    "answer",
    [
        struct.pack(">II", 2**32 - 1, 0),
        struct.pack(">II", 2, 2**32 - 1) + b"{}",
        struct.pack(">II", 3, 0) + b"{]}",
        struct.pack(">II", 100_000, 0) + b"[" * 100_000,
        struct.pack(">II", 2, 0) + b"\xff\xff",
        struct.pack(">II", 10_000, 0) + b"9" * 10_000,
    ],
)
def test_what_is_no_message_is_no_answer(answer):
    with pytest.raises(UpstreamUnreachable):
        telling(answer).state(FOLDER)


@pytest.mark.parametrize(
    "told",
    [
        pack(None), pack([]), pack({}), pack("running"),
        state(phase="gone"), state(phase=["running"]), state(exit_code="0"), state(exit_code=True),
        state(exit_code=-1), state(exit_code=10**30), state(started_at=float("nan")),
        state(finished_at=1e300), state(lingers=1), state(reason={}), state(node=5),
    ],
)  # fmt: skip
def test_what_is_no_state_is_none(told):
    with pytest.raises(UpstreamError):
        telling(told).state(FOLDER)


def test_who_told_no_state_is_not_asked_again():
    launcher = telling(pack(None), state(phase="exited", exit_code=0))
    for _ in range(2):
        with pytest.raises(UpstreamError):
            launcher.state(FOLDER)


def test_a_state_is_made_fit_to_be_kept():
    told = state(reason="a\0\ud800" + "x" * 5000, process={"pid": -1}, phase="lost")
    found = telling(told).state(FOLDER)
    assert found.phase is JobPhase.LOST
    assert found.reason == "a\ufffd\ufffd" + "x" * 997
    assert found.process is None


def test_frames_and_outputs_are_read_as_what_a_stranger_wrote():
    good = HEADER.pack(1, 5.0, 3) + b"a\n\0"
    for bad in (b"\xff" * 20, HEADER.pack(1, float("nan"), 1) + b"x", HEADER.pack(1, 1e300, 0)):
        lines, offset = telling(pack(None, good + bad)).read(FOLDER, 7, 1000)
        assert [line.text for line in lines] == ["a", "\ufffd"]
        assert offset == 7 + len(good)
    with pytest.raises(InvalidRequest):
        telling(pack(None, b"x")).outputs(FOLDER)
    assert telling(pack(None, b"a=1")).outputs(FOLDER) == {"a": "1"}


def test_errors_of_the_other_side():
    told = {"error": "refused", "message": "no\0", "detail": None}
    with pytest.raises(UpstreamError, match="no\ufffd"):
        telling(pack(told)).cancel(FOLDER)
    for kind in ("failed", "unknown", ["refused"], 5):
        with pytest.raises(RuntimeError, match="helper"):
            telling(pack({**told, "error": kind})).cancel(FOLDER)


def test_a_silent_helper_is_given_up(monkeypatch):
    launcher = telling()
    monkeypatch.setattr(broker_link, "_CALL_SECONDS", 0.2)
    with pytest.raises(UpstreamUnreachable) as caught:
        launcher.pause(FOLDER)
    assert "imeout" in caught.value.detail or "timed out" in caught.value.detail


def test_messages_come_back_as_they_were():
    message = pack({"a": ["\udcff", 1.5]}, b"\0\1")
    parts = iter((message[:8], message[8:-2], message[-2:]))
    assert unpack(lambda _: next(parts), 1000) == ({"a": ["\udcff", 1.5]}, b"\0\1")


def test_a_doorbell_full_of_rubbish_wakes_who_is_named_and_fills_no_memory():
    rings = iter([b"a\nb\na\nc", b"d\n\n", b"\n", *[b"x" * 65536] * 50, b"\ne\n\xff\n", b""])
    woken = []
    wake_for_each(lambda: next(rings), woken.append)
    assert woken[:3] == ["a", "b", "cd"]
    assert woken[-2:] == ["e", "\ufffd"]
    assert len(woken[3]) <= 65536

"""What was promised is on the disk before it is answered: seen in the system calls of the service.

A loss of power takes what no ``fdatasync`` has covered. So between the last write to SQLite's log
and the answer there must be one, whenever something was promised.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit.client import Client
from kit.definitions import script, workflow
from kit.patience import PATIENCE_SECONDS, await_that
from kit.servers.processes import unavailable
from kit.service import Service

WRITE, SYNC, ANSWER = "write", "sync", "answer"
_CALLS = (
    (re.compile(r"pwrite64\(\d+<[^>]*slipway\.db-wal>"), WRITE),
    (re.compile(r"f(data)?sync\(\d+<[^>]*slipway\.db-wal>"), SYNC),
    (re.compile(r'(sendto|sendmsg|write|writev)\(\d+<[^>]*>, .*"HTTP/1\.1 2'), ANSWER),
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "service")
    try:
        yield made.start()
    finally:
        made.end()


_TRACED = "pwrite64,fsync,fdatasync,sendto,sendmsg,write,writev"
_JOB = (
    (re.compile(r"fsync\(\d+<[^>]*/tasks>"), "sync of the folder of all tasks"),
    (re.compile(r"fsync\(\d+<[^>]*/tasks/only>"), "sync of the task"),
    (re.compile(r"fsync\(\d+<[^>]*/tasks/only/1>"), "sync of the job"),
    (re.compile(r"fdatasync\(\d+<[^>]*slipway\.db-wal>"), "sync of the store"),
    (re.compile(r'sendmsg\(\d+<socket:[^>]*>, .*"/'), "start of a shim"),
    (re.compile(r"fsync\(\d+<[^>]*/tasks/only/1/claim\.json>"), "sync of the claim"),
    (re.compile(r'execve\("[^"]*/true"'), "command"),
    (re.compile(r'rename\("exit\.json\.[^"]*", "exit\.json"\)'), "result"),
    (re.compile(r"write\(\d+<[^>]*/doorbell>"), "ring"),
    (re.compile(r"fsync\(\d+<[^>]*/tasks/only/1/exit\.json>"), "sync of the result"),
)


@contextmanager
def traced(pid: int, file: Path, what: str = _TRACED) -> Iterator[Callable[[], list[str]]]:
    """Trace a process; what is given tells, in order, what it did so far."""
    strace = shutil.which("strace") or unavailable("strace was not found")
    tracer = subprocess.Popen(
        [strace, "-f", "-y", "-s", "32", "-o", file, "-p", str(pid), "-e", f"trace={what}"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    if "attached" not in line:
        tracer.wait(PATIENCE_SECONDS)
        unavailable(f"strace may not trace: {line.strip()}")
    try:
        yield lambda: file.read_text(errors="replace").splitlines()
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(PATIENCE_SECONDS)


def _kinds(lines: list[str], kinds: Sequence[tuple[re.Pattern[str], str]]) -> list[str]:
    """Name what was done, in order."""
    return [kind for line in lines for pattern, kind in kinds if pattern.search(line)]


def promises(client: Client) -> dict[str, Callable[[], object]]:
    """Everything that a caller is told to rely on."""
    document = workflow("endless", script("only", "sleep 1000"))
    started: list[str] = []

    def launch() -> None:
        answer = client.send("POST", "/workflows/endless", headers={"Idempotency-Key": "once"})
        assert answer.status_code == 201, answer.text
        started.append(answer.headers["Location"].rpartition("/")[2])

    def steer(method: str, path: str = "") -> None:
        answer = client.send(method, f"/executions/{started[0]}{path}")
        assert answer.ok, answer.text

    def key() -> None:
        answer = client.send("POST", "/ssh_keys", json={"metadata": {}})
        assert answer.status_code == 201, answer.text

    client.upload(document)
    return {
        "a launch": launch,
        "a pause": lambda: (client.wait(started[0], "RUNNING"), steer("POST", "/pause")),
        "a key": key,
        "a cancel": lambda: steer("DELETE"),
    }


def test_every_promise_is_on_the_disk_before_it_is_answered(
    service: Service, tmp_path: Path
) -> None:
    todo = promises(service.client())
    with traced(service.child("web"), tmp_path / "trace") as lines:

        def calls() -> list[str]:
            return _kinds(lines(), _CALLS)

        for name, promise in todo.items():
            before = len(calls())
            promise()
            done = await_that(lambda seen=before: _answered(calls()[seen:]), f"{name} is answered")
            assert WRITE in done, f"{name} is written: {done}"
            last = len(done) - 1 - done[::-1].index(WRITE)
            assert SYNC in done[last:], f"{name} is on the disk: {done}"


def _answered(calls: list[str]) -> list[str]:
    """What was done before the last answer, if there was one."""
    return calls[: len(calls) - 1 - calls[::-1].index(ANSWER)] if ANSWER in calls else []


def test_a_command_begins_after_its_job_is_on_the_disk_and_nobody_waits_for_its_result(
    service: Service, tmp_path: Path
) -> None:
    client = service.client()
    step = {"id": "only", "type": "command", "config": {"command": "true"}}
    client.upload(workflow("short", step))
    what = "fsync,fdatasync,sendmsg,execve,rename,write"
    with traced(service.child("conductor"), tmp_path / "trace", what) as lines:
        execution = client.launch("short")
        client.wait(execution, "SUCCESS")
        done = await_that(lambda: _ended(_kinds(lines(), _JOB)), "the result is on the disk")
    folders = {"sync of the folder of all tasks", "sync of the task", "sync of the job"}
    begun = done.index("start of a shim")
    before, after = done[:begun], done[begun:]
    assert folders <= set(before)
    # The store knows of the beginning once all that the job is made of is on the disk.
    stored = len(before) - 1 - before[::-1].index("sync of the store")
    assert folders <= set(before[:stored]), before
    claimed, ran = after.index("sync of the claim"), after.index("command")
    assert "sync of the job" in after[claimed:ran], after
    assert after.index("result") < after.index("ring", ran) < after.index("sync of the result")


def _ended(done: list[str]) -> list[str] | None:
    """What was done, once the result and its name are on the disk."""
    ended = "sync of the result"
    whole = ended in done and "sync of the job" in done[done.index(ended) :]
    return done if whole else None

"""What was promised is on the disk before it is answered: seen in the system calls of the service.

A loss of power takes what no ``fdatasync`` has covered. So between the last write to SQLite's log
and the answer there must be one, whenever something was promised.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
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


@contextmanager
def traced(pid: int, file: Path) -> Iterator[Callable[[], list[str]]]:
    """Trace a process; what is given tells, in order, what it did so far."""
    strace = shutil.which("strace") or unavailable("strace was not found")
    tracer = subprocess.Popen(
        [strace, "-f", "-y", "-s", "32", "-o", file, "-p", str(pid),
         "-e", "trace=pwrite64,fsync,fdatasync,sendto,sendmsg,write,writev"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    if "attached" not in line:
        tracer.wait(PATIENCE_SECONDS)
        unavailable(f"strace may not trace: {line.strip()}")
    try:
        yield lambda: list(_calls(file.read_text(errors="replace")))
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(PATIENCE_SECONDS)


def _calls(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from (kind for pattern, kind in _CALLS if pattern.search(line))


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
    with traced(service.child("web"), tmp_path / "trace") as calls:
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

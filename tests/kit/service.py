"""The real service as its users start it: ``slipway serve`` in processes of its own."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from kit import warm
from kit.client import Client
from kit.patience import PATIENCE_SECONDS, await_that
from kit.secrets import audited, command_lines, leaks, register, register_environment
from kit.stress import SCALE

from app.cli._start import Process

_ROLES = {
    "conductor": "app.cli.conductor", "web": "app.cli.web_process", "template": "app.cli._template",
}  # fmt: skip
_LASTING = ("conductor", "web")
"""The roles that are always there; a template is while it is needed."""
_CLAIM = "claim.json"
_ACTIVE = ["PENDING", "RUNNING", "PAUSED", "CANCELLING", "UNKNOWN"]

OPEN = "slipway_streams_open"
WAITING = "slipway_waiting_readers"


def slipway(*arguments: str | Path) -> list[str]:
    """The command line of the ``slipway`` command."""
    return [sys.executable, "-P", "-m", "app.cli", *map(str, arguments)]


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without settings of a service that somebody really runs."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SLIPWAY_")}
    return {**kept, **(more or {})}


def run_slipway(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    typed: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a ``slipway`` command that ends by itself; ``typed`` is its standard input.

    It is a process of its own, as :mod:`kit.warm` makes them.
    """
    register(typed.strip())
    environment = clean_environment(env)
    if not warm.fits(environment):
        return subprocess.run(
            slipway(*arguments), env=environment, cwd=cwd, capture_output=True, text=True,
            timeout=PATIENCE_SECONDS, check=False, input=typed,
        )  # fmt: skip
    with TemporaryFile("w+") as given, TemporaryFile("w+") as told, TemporaryFile("w+") as fault:
        given.write(typed)
        given.seek(0)
        files = [given.fileno(), told.fileno(), fault.fileno()]
        process = warm.start(arguments, environment, cwd, files)
        try:
            code = process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
        told.seek(0)
        fault.seek(0)
        return subprocess.CompletedProcess(slipway(*arguments), code, told.read(), fault.read())


def manage(
    name: str, *arguments: str | Path, env: Mapping[str, str] | None = None, typed: str = ""
) -> str:
    """Run a ``slipway`` command on a store within this process, and return what it prints.

    It does what the command does as a program, without the second of the processor's time that it
    takes to start one. ``typed`` is its standard input.
    """
    register(typed.strip())
    command = import_module(f"app.cli.{name.replace('-', '_')}").command
    theirs = dict.fromkeys(name for name in os.environ if name.startswith("SLIPWAY_"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.cli._store.guard_process", lambda: None)  # it is about this process
        done = CliRunner(env={**theirs, **(env or {})}).invoke(
            command, [*map(str, arguments)], input=typed
        )
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def metric(client: Client, name: str) -> float:
    """Add up what the web process that answers says of a metric."""
    text = client.send("GET", "/metrics").text
    return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))


class Service:
    """One service with its data folder; it can be killed and started again.

    Args:
        folder: Where its data and its logs are kept.
        env: Settings, as ``SLIPWAY_*`` variables; None for what is to be as it comes.
        arguments: More arguments of ``slipway serve``; they win over ``--data-dir``.
        cwd: Where it is started.

    Attributes:
        within: A command that runs another one, such as in a namespace of its own.
        cold: It is started as a program, and not as in :mod:`kit.warm`.
        user: Name and password of the user who looks after it, where it has users.
    """

    def __init__(
        self,
        folder: Path,
        env: Mapping[str, str | None] | None = None,
        arguments: Sequence[str | Path] = (),
        cwd: Path | None = None,
    ) -> None:
        self.data_dir = folder / "data"
        self.workflows_dir = self.data_dir / "workflows"
        self.url = ""
        self.within: Sequence[str] = ()
        self.cold = bool(SCALE)  # the long runs are about programs, and about their memory
        self.user: tuple[str, str] | None = None
        # Tests speak of 'the' web process, whatever the machine has cores for.
        given = {"SLIPWAY_WEB__PROCESSES": "1", **(env or {})}
        self._env = clean_environment({k: v for k, v in given.items() if v is not None})
        register_environment(self._env)
        self._arguments = [*(arguments or ["--data-dir", self.data_dir]), "--port", "0"]
        self._cwd = cwd
        self._stdout, self._stderr = folder / "service.out", folder / "service.log"
        self._process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> Service:
        """Start it and wait until it says where it is ready."""
        begin = self._stdout.stat().st_size if self._stdout.exists() else 0
        with (
            Path(os.devnull).open("rb") as stdin, self._stdout.open("ab") as stdout,
            self._stderr.open("ab") as stderr,
        ):  # fmt: skip
            self._process = self._begin([stdin.fileno(), stdout.fileno(), stderr.fileno()])
        self.url = await_that(lambda: self._announced(begin), "the service is ready")
        return self

    def _begin(self, files: list[int]) -> Process:
        arguments = ["serve", *self._arguments]
        if not (self.cold or self.within) and warm.fits(self._env):
            return warm.start(arguments, self._env, self._cwd, files)
        stdin, stdout, stderr = files
        return subprocess.Popen(
            [*self.within, *slipway(*arguments)], env=self._env, cwd=self._cwd,
            stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip

    def stop(self) -> float:
        """End it with SIGTERM.

        Returns:
            The seconds that it took.
        """
        assert self._process is not None
        begin = time.monotonic()
        self._process.terminate()
        assert self._process.wait(PATIENCE_SECONDS) == 0, self.log
        self._process = None
        return time.monotonic() - begin

    def send(self, number: int) -> None:
        """Send a signal to the supervisor."""
        os.kill(self.pid, number)

    def join(self) -> int:
        """Wait for the end of the supervisor, and return its exit status."""
        assert self._process is not None
        code = self._process.wait(PATIENCE_SECONDS)
        self._process = None
        return code

    def kill(self, role: str) -> int:
        """Send SIGKILL to the process of a role.

        Returns:
            Its pid.
        """
        pid = self.pid if role == "supervisor" else self.child(role)
        os.kill(pid, signal.SIGKILL)
        if role == "supervisor":
            self.join()
        await_that(lambda: not is_alive(pid), f"{role} is dead")
        return pid

    def kill_all(self) -> None:
        """Send SIGKILL to supervisor, conductor and web, at once."""
        pids = [self.pid, *self.children()]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.join()
        await_that(lambda: not any(map(is_alive, pids)), "all processes are dead")

    def replaced(self, role: str, old: int) -> int:
        """Wait until the supervisor has put a new process in the place of a dead one."""
        return await_that(
            lambda: next((pid for pid in self.children(role) if pid != old), 0), f"a new {role}"
        )

    @property
    def pid(self) -> int:
        """Pid of the supervisor."""
        assert self._process is not None
        return self._process.pid

    def child(self, role: str) -> int:
        """Pid of the only process of a role, once there is one."""
        return await_that(lambda: self.children(role), f"a {role} process")[0]

    def children(self, role: str = "") -> list[int]:
        """Pids of the supervisor's children, all or those of a role."""
        module = _ROLES.get(role, "app.cli.")
        return [pid for pid in children_of(self.pid) if module in _command_line(pid)]

    @property
    def log(self) -> str:
        """What it wrote about itself."""
        return self._stderr.read_text(encoding="utf-8") if self._stderr.exists() else ""

    def client(self, user: str | None = None, password: str = "") -> Client:
        """A user of the API, as the service is now; :attr:`user` unless told otherwise."""
        return Client(self.url, (user, password) if user else self.user)

    def end(self) -> None:
        """End whatever is left of it: its processes, and the jobs that it began.

        Raises:
            AssertionError: It told a secret; see :mod:`kit.secrets`.
        """
        told: list[str] = []
        if self._process is not None and self._process.poll() is None:
            family = [self.pid, *self.children()]
            told += leaks("command lines", command_lines(family))
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
            for pid in filter(is_alive, family):
                os.kill(pid, signal.SIGKILL)
            self._process.wait(PATIENCE_SECONDS)
        for shim in self.jobs():
            os.kill(shim, signal.SIGTERM)
        with suppress(AssertionError):
            await_that(lambda: not self.jobs(), "the jobs have ended", 10)
        for shim in self.jobs():
            os.kill(shim, signal.SIGKILL)
        told += leaks("its log", self.log)
        if self._stdout.exists():
            told += leaks("its output", self._stdout.read_text(encoding="utf-8"))
        told += leaks("its audit", audited(self._database_url))
        assert not told, told

    @property
    def _database_url(self) -> str:
        embedded = f"sqlite:///{self.data_dir / 'slipway.db'}"
        return self._env.get("SLIPWAY_DATABASE__URL", embedded)

    def heal(self) -> None:
        """Bring it back to how it was after its start, whatever a test did to it.

        All of its processes are there and answer, nothing runs, and nobody follows anything.
        """
        if self._process is None or self._process.poll() is not None:
            self.end()
            self.start()
        for role in _LASTING:
            self.child(role)
        await_that(self._is_ready, "the service is ready again")
        self._cancel_all()
        gc.collect()  # closes the connections that tests left open
        await_that(self._is_left_alone, "all connections are noticed to be closed")

    def _is_ready(self) -> bool:
        with suppress(requests.RequestException):
            return self.client().send("GET", "/ready").ok
        return False

    def _cancel_all(self) -> None:
        client = self.client()
        active = {"state": _ACTIVE, "page_size": 1000}
        for execution in client.get("/executions", **active)["executions"]:
            client.cancel(execution["id"])
        await_that(
            lambda: not client.get("/executions", **active)["executions"], "nothing runs any more"
        )

    def _is_left_alone(self) -> bool:
        client = self.client()
        return not any(metric(client, name) for name in (OPEN, WAITING))

    def work(self, execution: str) -> Path:
        """The folder in which the commands of an execution work."""
        return self.data_dir / "executions" / execution / "work"

    def jobs(self) -> list[int]:
        """Pids of the shims of this data folder that still run."""
        claims = map(_record, self.data_dir.glob(f"executions/*/tasks/*/*/{_CLAIM}"))
        return [claim["pid"] for claim in claims if claim and _is_shim(claim)]

    def _announced(self, begin: int) -> str:
        assert self._process is not None
        assert self._process.poll() is None, f"the service did not start:\n{self.log}"
        text = self._stdout.read_bytes()[begin:].decode()
        without = re.search(r"^Slipway is at work without its API .*\n", text, re.MULTILINE)
        found = re.search(r"^Slipway is ready at (https?://\S+) .*\n", text, re.MULTILINE)
        return found[1] if found else "nowhere" * bool(without)


def _record(path: Path) -> dict[str, Any]:
    """What a claim says; nothing where a test damaged it."""
    try:
        return json.loads(path.read_bytes())  # type: ignore[no-any-return]
    except (OSError, ValueError):
        return {}


def _is_shim(claim: Mapping[str, object]) -> bool:
    """Whether the very process that made this claim still runs, and no other with its pid."""
    stat = _stat(int(str(claim["pid"])))
    return bool(stat) and stat[19] == claim["start_time"] and stat[0] not in "ZX"


def children_of(parent: int) -> Iterator[int]:
    """Pids of the processes that a process began."""
    for name in os.listdir("/proc"):  # noqa: PTH208  (a third of the time that paths take)
        if name.isdecimal() and (stat := _stat(int(name))) and int(stat[1]) == parent:
            yield int(name)


def _stat(pid: int) -> list[str]:
    """What the kernel tells of a process, from its state on; nothing if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(b")")[2].decode().split()


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""

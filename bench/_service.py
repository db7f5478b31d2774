"""Starts the real ``slipway serve``, looks at its processes in /proc, and stops it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_READY = re.compile(r"Slipway is ready at http://127\.0\.0\.1:(\d+)")
_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_QUIET_SHARE = 0.10


class Service:
    """One running service with a data folder of its own.

    Args:
        folder: The data folder; definitions in ``folder/workflows`` are offered.
        processes: Number of web processes; None for the default.
        env: More settings, as ``SLIPWAY_...`` variables.

    Attributes:
        port: Where it answers, on 127.0.0.1.
        web: Pids of the web processes.
        conductor: Pid of the conductor.
    """

    def __init__(
        self, folder: Path, *, processes: int | None = 1, env: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("SLIPWAY_")}
        if processes is not None:
            self._env["SLIPWAY_WEB__PROCESSES"] = str(processes)
        self._env["SLIPWAY_OBSERVABILITY__LOG_LEVEL"] = "WARNING"
        self._env.update(env or {})
        self._output = folder / "serve.log"

    def __enter__(self) -> Self:
        command = ["-m", "app.cli", "serve", "--port", "0", "--data-dir", str(self.folder)]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", *command],
                env=self._env, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            self.port = self._await_port()
            children = dict(_children(self._process.pid))
            self.web = [pid for pid, name in children.items() if name.endswith("web_process")]
            self.conductor = next(p for p, name in children.items() if name.endswith("conductor"))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def terminate(self) -> None:
        """Ask the service to end by SIGTERM."""
        self._process.terminate()

    def stop(self) -> None:
        """End the service; it ends its own processes."""
        self.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _await_port(self) -> int:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            found = _READY.search(self._output.read_text())
            if found:
                return int(found[1])
            time.sleep(0.05)
        raise RuntimeError(f"slipway serve did not start:\n{self._output.read_text()}")

    def call(
        self, method: str, path: str, body: Any = None, *, authorization: str | None = None
    ) -> tuple[Any, Mapping[str, str]]:
        """Make one request; return the parsed body, or None, and the headers.

        Raises:
            RuntimeError: The answer is an error.
        """
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            payload = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json"}
            if authorization is not None:
                headers["Authorization"] = authorization
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {content.decode()}")
        is_json = "json" in response.headers.get("Content-Type", "")
        return (json.loads(content) if is_json else None), dict(response.headers)

    def launch(self, workflow: str, inputs: Mapping[str, Any] | None = None) -> str:
        """Launch a workflow; return the id of the execution."""
        _, headers = self.call("POST", f"/workflows/{workflow}", {"inputs": dict(inputs or {})})
        return headers["Location"].rpartition("/")[2]

    def await_end(self, execution: str, timeout_seconds: float) -> str:
        """Wait until an execution has ended; return its final status."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            view, _ = self.call("GET", f"/executions/{execution}?wait=10s")
            if view["finished_at"] is not None:
                return str(view["status"])
        raise RuntimeError(f"{execution} did not end within {timeout_seconds:g} s")

    def pss(self) -> dict[str, int]:
        """Measure the memory of the supervisor and of all that descends from it.

        Returns:
            Bytes by role, where what processes share counts in parts: PSS of proc(5), smaps_rollup.
        """
        memory: dict[str, int] = {}
        names = {self._process.pid: "supervisor"}
        todo = [self._process.pid]
        while todo:
            pid = todo.pop()
            for child, arguments in _all_children(pid):
                names[child] = _module(arguments).rpartition(".")[2].strip("_") or "helper"
                todo.append(child)
            role = names[pid]
            memory[role] = memory.get(role, 0) + _pss_bytes(pid)
        return memory

    def settle(self, timeout_seconds: float = 30.0) -> None:
        """Wait until the service does nothing any more: what was sent to it has been taken in."""
        pids = [*self.web, self.conductor]
        deadline = time.monotonic() + timeout_seconds
        quiet = 0
        while quiet < 3 and time.monotonic() < deadline:
            quiet = quiet + 1 if cpu_share(pids, 0.3) < _QUIET_SHARE else 0


def rss_bytes(pids: Iterable[int]) -> int:
    """Add up the resident memory of processes."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES for pid in pids)


def _pss_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024


def cpu_seconds(pids: Iterable[int]) -> float:
    """Add up the processor time that processes have used, user and system."""
    return sum(_cpu_ticks(pid) for pid in pids) / _TICKS_PER_SECOND


def cpu_share(pids: Iterable[int], seconds: float) -> float:
    """Measure the share of one core that processes use, over some time."""
    pids = list(pids)
    begun, used = time.monotonic(), cpu_seconds(pids)
    time.sleep(seconds)
    return (cpu_seconds(pids) - used) / (time.monotonic() - begun)


@dataclass(slots=True)
class Memory:
    """What :func:`memory_of` saw: resident bytes of one process.

    Attributes:
        before: At the first look.
        peak: The most of all looks.
    """

    before: int
    peak: int


@contextmanager
def memory_of(pids: Iterable[int]) -> Iterator[dict[int, Memory]]:
    """Look at the memory of processes ten times a second while the block runs."""
    seen = {pid: Memory(rss_bytes([pid]), 0) for pid in pids}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            for pid, memory in seen.items():
                memory.peak = max(memory.peak, rss_bytes([pid]))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _children(parent: int) -> Iterator[tuple[int, str]]:
    """Find the children of a process that run a module, with its name."""
    for pid, arguments in _all_children(parent):
        if module := _module(arguments):
            yield pid, module


def _module(arguments: list[str]) -> str:
    return arguments[arguments.index("-m") + 1] if "-m" in arguments else ""


def _all_children(parent: int) -> Iterator[tuple[int, list[str]]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            arguments = (folder / "cmdline").read_text().split("\0")
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent:
            yield int(folder.name), arguments

"""A worker process of a slave, which is told what its parent would tell it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from app.load.definition import Definition, to_json
from app.load.measures import Report, empty
from app.load.messages import DesiredTask
from app.load.segments import WHOLE
from app.load.slave.lease import boot_seconds
from app.load.slave.lines import lease_line, read_reports, task_line

LEASE_SECONDS = 600.0
PATIENCE_SECONDS = 60.0


class LoadWorker:
    """One process with one task, which it is given as soon as it runs.

    Args:
        definition: What it runs.
        lease: Seconds in which it may make requests, from its start.
        desired: What else is wanted of the task.
    """

    def __init__(
        self, definition: Definition, *, lease: float = LEASE_SECONDS, **desired: Any
    ) -> None:
        fields: dict[str, Any] = {
            "task": "t1", "execution": "e1", "generation": 1, "digest": "d1", "segment": WHOLE,
            "scaled": None, "quota": None, "max_vus": 100_000, "elapsed_us": 0,
        }  # fmt: skip
        self._desired = DesiredTask(definition=to_json(definition), **fields | desired)
        self._lease = lease
        self._condition = threading.Condition()
        self._ended = False
        self._followed = 0
        self.report: Report = empty()
        self.lag_ms = 0.0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app.load.slave.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.lease(self._lease)
        self._say(task_line(self._desired))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def lease(self, seconds: float) -> None:
        """Let it make requests for so long from now."""
        now = boot_seconds()
        self._say(lease_line(now + seconds, now))

    def want(self, **changes: Any) -> None:
        """Say what is wanted from now on."""
        self._desired = replace(
            self._desired,
            generation=self._desired.generation + 1,
            elapsed_us=self.report["running_us"],
            definition=None,
            **changes,
        )
        self._say(task_line(self._desired))

    def until(self, holds: Callable[[Report], Any]) -> Report:
        """Return the first report that follows the last wish and is as it should be."""

        def is_so() -> bool:
            current = self._followed >= self._desired.generation
            return self._ended or bool(current and holds(self.report))

        with self._condition:
            if not self._condition.wait_for(is_so, PATIENCE_SECONDS) or self._ended:
                raise AssertionError(f"it did not come about, in the end: {self.report}")
            return self.report

    def ended(self) -> Report:
        """Return its last report, once nothing runs any more."""
        return self.until(lambda report: report["ended"])

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop its process for a while; what it is told meanwhile waits."""
        os.kill(self.pid, signal.SIGSTOP)
        while self._state() != "T":
            time.sleep(0.001)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def _state(self) -> str:
        stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        return stat.rpartition(")")[2].split()[0]

    def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            reports = read_reports(line)
            with self._condition:
                if reports is not None and reports.tasks:
                    self._followed = reports.tasks[0].generation
                    self.report = reports.tasks[0].report
                    self.lag_ms = max(self.lag_ms, reports.lag_ms)
                self._condition.notify_all()
        with self._condition:
            self._ended = True
            self._condition.notify_all()

"""Long logs by the command line: how fast they are written to a file, and in how much memory.

The time is that of the processor which ``slipway logs`` takes, without the service: what else the
machine does makes times longer, and never shorter, so the shortest of a few runs counts. The memory
is the most that it had, beside the same for a log of a hundredth of the lines.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from app.domain import ExecutionStatus, Observation
from app.store.driving import DrivenExecutions
from bench._report import Figure
from bench._seed import OWNER, batches, make_executions, observation, open_store
from bench._service import Service

_SLIPWAY = str(Path(sys.executable).with_name("slipway"))
_BATCH = 10_000
_LEAST_LINES_PER_SECOND = 100_000
_MOST_MEMORY_RATIO = 1.25
_RUNS = 3


class _Used(NamedTuple):
    seconds: float
    mib: float


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure.

    Args:
        quick: Take a tenth of the lines.
    """
    lines = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        long, short = _seed(Path(folder), [lines, lines // 100])
        with Service(Path(folder)) as service:
            home = _Home(Path(folder), f"http://127.0.0.1:{service.port}")
            yield from _figures(home, lines, long, short)


def _seed(folder: Path, lengths: Sequence[int]) -> list[str]:
    """Make executions that have ended, with logs of some lengths."""
    database = open_store(f"sqlite:///{folder / 'slipway.db'}")
    driven = DrivenExecutions(database)
    made = make_executions(database, len(lengths))
    for execution, length in zip(made, lengths, strict=True):
        for entries in batches(length, _BATCH):
            execution = driven.record(execution, OWNER, observation(entries))  # noqa: PLW2901
        ended = Observation(ExecutionStatus.SUCCESS, None, log_complete=True)
        driven.record(execution, OWNER, ended)
    database.dispose()
    return [execution.id for execution in made]


class _Home:
    """A user's folder, and the service that commands speak to."""

    def __init__(self, folder: Path, url: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLIPWAY_", "HW_"))}
        self._env = {**kept, "HOME": str(folder), "SLIPWAY_URL": url}
        self._file = folder / "log.txt"

    def logs(self, execution: str, lines: int, *more: str) -> _Used:
        """Write a log to a file, and return what that took."""
        command = [_SLIPWAY, "logs", execution, "--level", "debug", *more]
        with self._file.open("wb") as file:
            process = subprocess.Popen(command, env=self._env, stdout=file)
            _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        with self._file.open("rb") as file:
            written = sum(1 for _ in file)
        if process.returncode or written != lines:
            raise RuntimeError(f"{command}: {process.returncode}, {written} lines")
        return _Used(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _figures(home: _Home, lines: int, long: str, short: str) -> Iterator[Figure]:
    for title, more in (("slipway logs", ()), ("slipway logs -f", ("-f",))):
        runs = [home.logs(long, lines, *more) for _ in range(_RUNS)]
        little = min(home.logs(short, lines // 100, *more).mib for _ in range(_RUNS))
        rate = lines / min(each.seconds for each in runs)
        yield Figure(
            f"{title}, {lines:,} lines to a file: lines a second of its processor's time", rate,
            "lines/s", least=None if more else _LEAST_LINES_PER_SECOND,
            note=f"shortest of {_RUNS}, without the service",
        )  # fmt: skip
        most = min(each.mib for each in runs)
        yield Figure(
            f"{title}, {lines:,} lines: most memory", most, "MiB", ratio=most / little,
            beside=f"{lines // 100:,} lines", most_ratio=_MOST_MEMORY_RATIO,
        )  # fmt: skip

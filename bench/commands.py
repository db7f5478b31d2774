"""The command line for people: what a command takes of the processor until it is done.

Short ones are ratios to ``python -c 'import requests, click'``, which is about the least that a
program of this kind can do. They run in turns, many times, and the shortest time of each counts:
what else the machine does makes times longer, and never shorter. Long logs are written to a file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from app.domain import ExecutionStatus
from app.store.driving import DrivenExecutions
from bench._report import Figure
from bench._seed import OWNER, batches, make_executions, observation, open_store
from bench._service import Service

_BASE = (sys.executable, "-c", "import requests, click")
_SLIPWAY = str(Path(sys.executable).with_name("slipway"))
_MOST_HELP_RATIO = 0.6
_MOST_PS_RATIO = 1.4
_EXECUTIONS = 20
_LEAST_LINES = 100_000
"""Of a log, a second of the processor."""
_SHORT_LINES = 1_000
_MOST_MIB = 16
_LOOK_SECONDS = 0.01
_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")
_MS = 1e3
_DEFINITION = """\
id: nothing
steps:
  - {id: only, type: command, config: {command: "true"}}
"""


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure.

    Args:
        quick: Take fewer runs.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        workflows = Path(folder) / "workflows"
        workflows.mkdir()
        (workflows / "nothing.yaml").write_text(_DEFINITION, encoding="utf-8")
        with Service(Path(folder)) as service:
            for _ in range(_EXECUTIONS):
                service.launch("nothing", {})
            service.settle()
            yield from _short(_environment(Path(folder), service), quick=quick)
    yield from _long_logs(100_000 if quick else 1_000_000, 1 if quick else 3)


def _environment(home: Path, service: Service) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLIPWAY_", "HW_"))}
    environment |= {"HOME": str(home), "SLIPWAY_URL": f"http://127.0.0.1:{service.port}"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def _short(environment: Mapping[str, str], *, quick: bool) -> Iterator[Figure]:
    line = "slipway status @"
    at_tab = {"_SLIPWAY_COMPLETE": "bash_complete", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    commands: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {
        "base": (_BASE, environment),
        "help": ((_SLIPWAY, "--help"), environment),
        "ps": ((_SLIPWAY, "ps", "-a"), environment),
        "tab": ((_SLIPWAY,), {**environment, **at_tab}),
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(8 if quick else 40):
        for name, (command, env) in commands.items():
            times[name].append(_taken(command, env).seconds)
    base = min(times["base"])
    goals = {
        "slipway --help": ("help", _MOST_HELP_RATIO),
        f"slipway ps, {_EXECUTIONS} executions": ("ps", _MOST_PS_RATIO),
        "TAB behind slipway status": ("tab", None),
    }
    for title, (name, most_ratio) in goals.items():
        seconds = min(times[name])
        yield Figure(
            f"{title}: time of the processor", seconds * _MS, "ms", ratio=seconds / base,
            beside="import requests, click", most_ratio=most_ratio,
            note=f"shortest of {len(times[name])}; the import {base * _MS:.3g} ms",
        )  # fmt: skip


def _long_logs(lines: int, times: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        home = Path(folder)
        short, long = (_with_log(home, number) for number in (_SHORT_LINES, lines))
        with Service(home) as service:
            environment = _environment(home, service)
            for words in (["logs"], ["logs", "-f"], ["logs", "-o", "json"]):
                few = _taken([_SLIPWAY, *words, short], environment, home / "log.txt")
                all_ = [
                    _taken([_SLIPWAY, *words, long], environment, home / "log.txt")
                    for _ in range(times)
                ]
                title = f"slipway {' '.join(words)}, {lines:,} lines to a file"
                yield Figure(
                    f"{title}: lines a second of the processor",
                    lines / min(each.seconds for each in all_), "/s", least=_LEAST_LINES,
                )  # fmt: skip
                yield Figure(
                    f"{title}: more memory than for {_SHORT_LINES:,} lines",
                    min(each.mib for each in all_) - few.mib, "MiB", most=_MOST_MIB,
                )  # fmt: skip


def _with_log(folder: Path, lines: int) -> str:
    """Make an execution that has ended with some lines in its log, and return its id."""
    database = open_store(f"sqlite:///{folder / 'slipway.db'}")
    executions = DrivenExecutions(database)
    [execution] = make_executions(database, 1)
    for batch in batches(lines, 1_000):
        execution = executions.record(execution, OWNER, observation(batch))
    ended = replace(observation(()), status=ExecutionStatus.SUCCESS, log_complete=True)
    executions.record(execution, OWNER, ended)
    database.dispose()
    return execution.id


class _Taken(NamedTuple):
    """What a program took of the processor, and the most memory that it had."""

    seconds: float
    mib: float


def _taken(command: Sequence[str], env: Mapping[str, str], output: Path | None = None) -> _Taken:
    """Run a program to its end, and return what it took.

    Args:
        command: The program with its arguments.
        env: Its environment.
        output: The file that it writes to; None for nowhere.
    """
    with (
        (output or Path(os.devnull)).open("wb") as written,
        tempfile.TemporaryFile() as told,
        subprocess.Popen(command, env=dict(env), stdout=written, stderr=told) as process,
    ):
        mib, ended = 0.0, 0
        while not ended:
            # The kernel's own figure at the end (ru_maxrss) has that of whoever started it, too.
            peak = _PEAK.search(Path(f"/proc/{process.pid}/status").read_text(encoding="ascii"))
            mib = max(mib, int(peak[1]) / 1024 if peak else 0.0)
            time.sleep(_LOOK_SECONDS)
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            said = told.read().decode()
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said}")
    return _Taken(used.ru_utime + used.ru_stime, mib)

"""The command line for people: what a command takes of the processor until it is done.

Each is a ratio to ``python -c 'import requests, click'``, which is about the least that a program
of this kind can do. They run in turns, many times, and the shortest time of each counts: what else
the machine does makes times longer, and never shorter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench._report import Figure
from bench._service import Service

_BASE = (sys.executable, "-c", "import requests, click")
_SLIPWAY = str(Path(sys.executable).with_name("slipway"))
_MOST_HELP_RATIO = 0.6
_MOST_PS_RATIO = 1.4
_EXECUTIONS = 20
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
            yield from _figures(Path(folder), f"http://127.0.0.1:{service.port}", quick=quick)


def _figures(home: Path, url: str, *, quick: bool) -> Iterator[Figure]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLIPWAY_", "HW_"))}
    environment |= {"HOME": str(home), "SLIPWAY_URL": url}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    line = "slipway status @"
    at_tab = {"_SLIPWAY_COMPLETE": "bash_complete", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    commands: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {
        "base": (_BASE, environment),
        "help": ((_SLIPWAY, "--help"), environment),
        "ps": ((_SLIPWAY, "ps", "-a"), environment),
        "tab": ((_SLIPWAY,), environment | at_tab),
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(8 if quick else 40):
        for name, (command, env) in commands.items():
            times[name].append(_cpu_seconds(command, env))
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


def _cpu_seconds(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Run a program to its end, and return what it took of the processor."""
    process = subprocess.Popen(
        command, env=dict(env), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    told = process.stderr.read()
    process.stderr.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {told.decode()}")
    return used.ru_utime + used.ru_stime

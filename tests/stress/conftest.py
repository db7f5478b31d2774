"""What the long runs share, and the table of what they did.

What is run whole is written to the table of ``docs/stress.md``, in the place of its last run.
"""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kit.stress import SCALE, VARIABLE

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "stress.md"
MARK = "<!-- what follows is written by `make stress` -->\n"
_DID = "did"

_rows: dict[str, str] = {}


@pytest.fixture
def did(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Note what a run did, in a few words with figures."""
    return lambda words: record_property(_DID, words)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed and "stress" in report.nodeid:
        words = "; ".join(str(value) for name, value in report.user_properties if name == _DID)
        name = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
        _rows[name] = f"| {name} | {words} | {report.duration:.0f} s | {_circumstances()} |"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not SCALE:
        return
    terminalreporter.section(f"long runs, {VARIABLE}={SCALE:g}")
    terminalreporter.write("\n".join(_rows.values()) + "\n")
    if SCALE >= 1:
        _write_down()
        terminalreporter.write_line(f"written to {DOCUMENT.relative_to(ROOT)}")


def _write_down() -> None:
    """Put what was run in the place of its last run, in the document."""
    head, _, table = DOCUMENT.read_text(encoding="utf-8").partition(MARK)
    lines = [line for line in table.splitlines() if line.startswith("| ")][2:]
    known = {line.split(" | ")[0].removeprefix("| "): line for line in lines}
    columns = "| run | what it did | time | when and where |\n| --- | --- | --- | --- |"
    rows = "\n".join(row for _, row in sorted({**known, **_rows}.items()))
    DOCUMENT.write_text(f"{head}{MARK}\n{columns}\n{rows}\n", encoding="utf-8")


@functools.cache
def _circumstances() -> str:
    """Return when, where and of what the runs are."""
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {revision or 'no revision'}, {os.cpu_count()} cores"
        f" ({_processor()}), {memory:.0f} GiB, Linux {platform.release()},"
        f" Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

"""What the long runs share, and the table of what they did.

A run of the whole writes the table to ``docs/stress.md``; each says on the terminal what it did.
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kit.fixtures import new_service, no_faults, relay, service, shared_service, start
from kit.servers.postgresql import PostgresqlServer
from kit.stress import SCALE, VARIABLE

__all__ = ["new_service", "no_faults", "relay", "service", "shared_service", "start"]

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "stress.md"
MARK = "<!-- what follows is written by `make stress` -->\n"
_DID = "did"

_rows: list[tuple[str, float, str]] = []
_faults: list[str] = []


@pytest.fixture
def did(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Note what a run did, in a few words with figures."""
    return lambda words: record_property(_DID, words)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    server = PostgresqlServer()
    yield server
    server.stop()


@pytest.fixture
def postgresql_database(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """URL of an empty database."""
    with postgresql_server.database() as url:
        yield url


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        _faults.append(report.nodeid)
    if report.when == "call" and "stress" in report.nodeid:
        words = "; ".join(str(value) for name, value in report.user_properties if name == _DID)
        name = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
        _rows.append((name, report.duration, words))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not SCALE:
        return
    lines = [f"| {name} | {words} | {duration:.0f} s |" for name, duration, words in _rows]
    table = "\n".join(["| run | what it did | time |", "| --- | --- | --- |", *lines, ""])
    terminalreporter.section(f"long runs, {VARIABLE}={SCALE:g}")
    terminalreporter.write(table)
    if SCALE >= 1 and not _faults and "PYTEST_XDIST_WORKER" not in os.environ:
        head = DOCUMENT.read_text(encoding="utf-8").partition(MARK)[0]
        DOCUMENT.write_text(f"{head}{MARK}\n{_circumstances()}\n\n{table}", encoding="utf-8")
        terminalreporter.write_line(f"written to {DOCUMENT.relative_to(ROOT)}")


def _circumstances() -> str:
    """Say when, where and of what the runs were."""
    minutes = sum(duration for _, duration, _ in _rows) / 60
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"Last whole run: {datetime.now(UTC):%Y-%m-%d}, {minutes:.0f} minutes, revision"
        f" {revision or 'unknown'}; {os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB,"
        f" Linux {platform.release()}, Python {platform.python_version()}, load"
        f" {os.getloadavg()[2]:.1f} over the last {min(15, time.monotonic() / 60):.0f} minutes."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

"""What all tests share."""

from __future__ import annotations

import os
import pathlib
import signal
from collections.abc import Generator, Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings
from kit.dealing import dealt
from kit.secrets import leaks_in, noticed
from kit.skips import reason_of, summary
from kit.thrift import (
    cheap_hashes,
    collect_less_garbage,
    collect_no_garbage_yet,
    compiled_once,
    parsed_once,
)

# What a shell runs in the background ignores Ctrl-C, and what nohup runs that its terminal goes
# away: so would all programs of the tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

collect_no_garbage_yet()

pytest_plugins = ["kit.fixtures", "kit.people", "kit.accounts", "kit.pages"]

# How fast examples are made says nothing of the code, and a machine may be busy. The same examples
# each time: a run that fails must fail again.
settings.register_profile(
    "project",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("project")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the folder that they stand in, and deal them to the workers."""
    for item in items:
        parts = pathlib.Path(str(item.path)).parts
        for folder in ("integration", "e2e"):
            if folder in parts:
                item.add_marker(getattr(pytest.mark, folder))
    if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
        items[:] = dealt(items, workers)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test in which a secret was told; see ``kit.secrets``."""
    report = yield
    if report.when == "teardown" and report.passed and (told := leaks_in(report)):
        report.outcome = "failed"
        report.longrepr = f"secrets were told: {told}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Sum up at the end what was skipped."""
    reports = terminalreporter.stats.get("skipped", [])
    for line in summary(map(reason_of, reports)):
        terminalreporter.write_line(line)


def pytest_collection_finish() -> None:
    collect_less_garbage()


@pytest.fixture(scope="session", autouse=True)
def thrift() -> Iterator[None]:
    """Spare time; see ``kit.thrift``."""
    with cheap_hashes(), compiled_once(), parsed_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def loggers_of_now() -> Iterator[None]:
    """Let each line be logged as is configured then; loggers keep what was at their first line."""
    configure = structlog.configure
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            structlog,
            "configure",
            lambda **how: configure(**{**how, "cache_logger_on_first_use": False}),
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def secrets() -> Iterator[None]:
    """Notice what must be told nowhere; see ``kit.secrets``."""
    with noticed():
        yield

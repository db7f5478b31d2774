"""Which tests run a line: what is noted of one run of the tests, by the contexts of coverage.py."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from coverage import Coverage

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Covered:
    """What a run of the tests showed.

    Attributes:
        tests: Ids of those that passed.
        seconds: How long each of them took.
        lines: Which of them run a line, by file and number of the line.
    """

    tests: Sequence[str]
    seconds: Sequence[float]
    lines: Mapping[str, Mapping[int, Sequence[int]]]


@dataclass(eq=False)
class _Noting:
    """Plugin of pytest that notes when which test runs."""

    coverage: Coverage
    seconds: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.coverage.switch_context(item.nodeid)
        began = time.monotonic()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.monotonic() - began
            self.coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)


def cover(packages: Sequence[str], arguments: Sequence[str]) -> Covered:
    """Run tests, and note which lines of some packages each of them runs.

    Args:
        packages: Their folders.
        arguments: The tests, as pytest takes them.
    """
    coverage = Coverage(
        data_file=None, config_file=False, include=[f"{ROOT / each}/*" for each in packages]
    )
    noting = _Noting(coverage)
    coverage.start()
    pytest.main(["-q", "-p", "no:cacheprovider", *arguments], plugins=[noting])
    coverage.stop()
    tests = sorted(noting.seconds.keys() - noting.failed)
    numbers = {test: number for number, test in enumerate(tests)}
    data = coverage.get_data()
    return Covered(
        tests,
        [noting.seconds[test] for test in tests],
        {
            str(Path(file).relative_to(ROOT)): {
                line: sorted(numbers[test] for test in numbers.keys() & running)
                for line, running in data.contexts_by_lineno(file).items()
            }
            for file in sorted(data.measured_files())
        },
    )


def keep(covered: Covered, path: Path) -> None:
    path.write_text(json.dumps(asdict(covered)), encoding="utf-8")


def kept(path: Path) -> Covered:
    held = json.loads(path.read_text(encoding="utf-8"))
    lines = {
        file: {int(line): numbers for line, numbers in by_line.items()}
        for file, by_line in held["lines"].items()
    }
    return Covered(held["tests"], held["seconds"], lines)

"""Runs mutants against the tests that run what they change, each in a fork of the tests' process.

The fork has the project and all tests loaded, so that it takes as long as its tests do. In it the
code of the functions that the mutant changes is put in place of theirs.
"""

from __future__ import annotations

import gc
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import FunctionType
from typing import NoReturn

import pytest
from kit import thrift
from kit.mutants.covering import ROOT, Covered
from kit.mutants.making import Mutant, changed_functions

_MOST_SECONDS = 20.0
"""The tests of a mutant are those that took this long together, the closest and quickest first."""
_LEAST_PATIENCE_SECONDS = 30.0
_PATIENCE = 3
"""How many times as long as without it the tests may take with a mutant: a machine may be busy."""
_PROCESSOR_SECONDS = 120
"""What a process with a mutant may use, which may have begun to turn in circles."""
_POLL_SECONDS = 0.02


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    NOT_COVERED = "not covered"


@dataclass(frozen=True)
class Trial:
    """A mutant, and tests that it must pass.

    Attributes:
        mutant: None for the code as it is.
        tests: Their ids.
        seconds: How long they take without it.
        are_all: Whether no other test runs what it changes.
    """

    mutant: Mutant | None
    tests: Sequence[str]
    seconds: float = 0.0
    are_all: bool = True

    @property
    def patience(self) -> float:
        return max(_LEAST_PATIENCE_SECONDS, _PATIENCE * self.seconds)


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        said: Which test failed or took too long, or what went wrong with the trial itself.
    """

    trial: Trial
    fate: Fate
    said: str = ""


def trial_of(mutant: Mutant, covered: Covered, unfit: Collection[str]) -> Trial:
    """Choose the tests of a mutant, none of which fails without it when it runs by itself."""
    by_line = covered.lines.get(mutant.file, {})
    first, last = mutant.lines
    near = f"tests/unit/{Path(mutant.file).parent.name}/"
    running = {number for line in range(first, last + 1) for number in by_line.get(line, ())}
    tests = sorted(
        (not test.startswith(near), covered.seconds[number], test)
        for number in running
        if (test := covered.tests[number]) not in unfit
    )
    chosen: list[str] = []
    seconds = 0.0
    for _, each, test in tests:
        if seconds < _MOST_SECONDS:
            chosen.append(test)
            seconds += each
    return Trial(mutant, chosen, seconds, are_all=len(chosen) == len(tests))


Run = Callable[[Iterable[Trial]], Iterator[Outcome]]
Try = Callable[[Trial, Callable[[str], object]], bool]


class Runner:
    """Plugin of pytest that has work done in place of the tests that were collected.

    Args:
        work: Called with what runs trials.
        workers: How many run at a time.
    """

    def __init__(self, work: Callable[[Run], None], workers: int) -> None:
        self._work = work
        self._workers = workers
        self._items: Mapping[str, pytest.Item] = {}
        self._functions: dict[str, list[FunctionType]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        _warm_up(session)
        gc.unfreeze()  # what is frozen is not found
        self._find_functions()
        gc.freeze()
        self._work(self._run)
        return True

    def _find_functions(self) -> None:
        self._functions.clear()
        for each in gc.get_objects():
            if isinstance(each, FunctionType):
                self._functions.setdefault(each.__code__.co_filename, []).append(each)

    def _run(self, trials: Iterable[Trial]) -> Iterator[Outcome]:
        waiting, running = deque(trials), list[_Fork]()
        while waiting or running:
            while waiting and len(running) < self._workers:
                running.append(_Fork(waiting.popleft(), self._try))
            ended = {fork: outcome for fork in running if (outcome := fork.ended()) is not None}
            yield from ended.values()
            running = [fork for fork in running if fork not in ended]
            time.sleep(_POLL_SECONDS)

    def _try(self, trial: Trial, say: Callable[[str], object]) -> bool:
        """Run the tests of a trial until one fails, and name each to whoever watches.

        Returns:
            Whether one failed.
        """
        if trial.mutant:
            self._put_in_place(trial.mutant)
        items = [self._items[test] for test in trial.tests if test in self._items]
        for item, following in pairwise([*items, *(item.session for item in items[:1])]):
            say(item.nodeid)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if item.session.testsfailed:
                return True
        return False

    def _put_in_place(self, mutant: Mutant) -> None:
        path = str(ROOT / mutant.file)
        if path not in self._functions:  # it is imported late
            import_module(mutant.file.removesuffix(".py").replace("/", "."))
            self._find_functions()
        before = compile(Path(path).read_text(encoding="utf-8"), path, "exec")
        for code, mutated in changed_functions(before, compile(mutant.code, path, "exec")):
            for function in self._functions[path]:
                if function.__code__ == code:
                    function.__code__ = mutated


def _warm_up(session: pytest.Session) -> None:
    """Run a test of each file, so that each fork has what tests make once: compiled statements."""
    thrift._statements()
    for item in {item.path: item for item in session.items}.values():
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=session)
    session.testsfailed = 0
    session.config._tmp_path_factory._basetemp = None  # each fork has one of its own


class _Fork:
    """A process that tries a mutant, with a folder of its own."""

    def __init__(self, trial: Trial, try_: Try) -> None:
        self._trial = trial
        self._folder = Path(tempfile.mkdtemp(prefix="mutant-"))
        self._until = time.monotonic() + trial.patience
        self._pid = os.fork()
        if not self._pid:
            self._in_fork(try_)

    def _in_fork(self, try_: Try) -> NoReturn:
        status = 2
        try:
            os.setsid()
            output = os.open(self._folder / "output", os.O_WRONLY | os.O_CREAT)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.environ["PYTEST_DEBUG_TEMPROOT"] = str(self._folder)
            resource.setrlimit(resource.RLIMIT_CPU, (_PROCESSOR_SECONDS, _PROCESSOR_SECONDS))
            status = 1 if try_(self._trial, self._say) else 0
        except BaseException:  # noqa: BLE001 - a mutant may raise whatever it likes
            self._say(traceback.format_exc())
        finally:
            os._exit(status)

    def _say(self, what: str) -> None:
        (self._folder / "said").write_text(what, encoding="utf-8")

    def ended(self) -> Outcome | None:
        """What became of the trial; None while it goes on."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        late = not pid and time.monotonic() > self._until
        if not pid and not late:
            return None
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        if late:
            _, status = os.waitpid(self._pid, 0)
        said = ""
        with suppress(FileNotFoundError):
            said = (self._folder / "said").read_text(encoding="utf-8")
        shutil.rmtree(self._folder, ignore_errors=True)
        if not status:
            return Outcome(self._trial, Fate.SURVIVED)
        return Outcome(self._trial, Fate.TIMED_OUT if os.WIFSIGNALED(status) else Fate.KILLED, said)

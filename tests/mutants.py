"""Mutation tests of packages: how many of the faults that are put in by lot the tests notice.

``make mutants`` runs it; docs/testing.md says what it found. It needs coverage.py and mutmut.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from kit.mutants.covering import cover, keep, kept
from kit.mutants.making import draw
from kit.mutants.running import Fate, Outcome, Run, Runner, Trial, trial_of

TESTS = ("tests/unit", "-k", "not ended_meanwhile")
"""All but those that raise an exception in a thread, which does not end while it is measured."""
SEED = 20261127


class Results:
    """What became of the mutants: a line of JSON each, in a file that a later run goes on with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def holds(self, trial: Trial) -> bool:
        mutant = trial.mutant
        return any(
            (row["file"], row["number"]) == (mutant.file, mutant.number) for row in self.rows
        )

    def add(self, outcome: Outcome) -> None:
        mutant = outcome.trial.mutant
        self.rows.append(
            {
                "file": mutant.file,
                "number": mutant.number,
                "lines": mutant.lines,
                "fate": outcome.fate,
                "tests": len(outcome.trial.tests),
                "all": outcome.trial.are_all,
                "said": outcome.said,
                "change": mutant.change,
            }
        )
        self._write()

    def forget(self, tests: Iterable[str]) -> None:
        """Forget the mutants that tests killed which fail without them, too."""
        forgotten = set(tests)
        self.rows = [row for row in self.rows if row["said"] not in forgotten]
        self._write()

    def survivors(self) -> str:
        """The changes that no test noticed, and where they stand."""
        rows = [row for row in self.rows if row["fate"] in (Fate.SURVIVED, Fate.NOT_COVERED)]
        rows.sort(key=lambda row: (row["fate"], row["file"], row["lines"]))
        return "".join(f"{r['file']}:{r['lines'][0]} {r['fate']}\n{r['change']}\n" for r in rows)

    def _write(self) -> None:
        self._path.write_text(
            "".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8"
        )

    def summary(self, package: str) -> str:
        """How many mutants of a package had which fate; those that no test runs stand apart."""
        fates = Counter(row["fate"] for row in self.rows if row["file"].startswith(f"{package}/"))
        covered = fates.total() - fates[Fate.NOT_COVERED]
        score = (fates[Fate.KILLED] + fates[Fate.TIMED_OUT]) / max(1, covered)
        each = ", ".join(f"{fates[fate]} {fate}" for fate in Fate)
        return f"{package}: {fates.total()} mutants: {each}; {score:.0%} of those covered noticed"


def main(arguments: Sequence[str]) -> int:
    """Take the arguments of the command line; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="+", help="their folders")
    parser.add_argument("--number", type=int, default=500, help="of mutants of each")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("build/mutants"))
    parser.add_argument("--cover", action="store_true", help="only note which tests run which line")
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    if asked.cover:
        keep(cover(asked.packages, TESTS), asked.folder / "covered.json")
        (asked.folder / "results.jsonl").unlink(missing_ok=True)  # of the code as it was
        return 0
    _run(asked)
    return 0


def _run(asked: argparse.Namespace) -> None:
    covered = kept(asked.folder / "covered.json")
    results = Results(asked.folder / "results.jsonl")
    mutants = [
        mutant for package in asked.packages for mutant in draw(package, asked.number, asked.seed)
    ]
    random.Random(asked.seed).shuffle(mutants)  # what was tried when it is ended is a sample, too
    unfit: set[str] = set()

    def trials() -> list[Trial]:
        made = (trial_of(mutant, covered, unfit) for mutant in mutants)
        return [trial for trial in made if not results.holds(trial)]

    def work(run: Run) -> None:
        checked, known = set[str](), set(covered.tests)
        while left := trials():
            for trial in left:
                if not trial.tests:
                    results.add(Outcome(trial, Fate.NOT_COVERED))
            for outcome in run(trial for trial in left if trial.tests):
                results.add(outcome)
            killers = {row["said"] for row in results.rows if row["said"] in known}
            alone = [Trial(None, [test]) for test in sorted(killers - checked)]
            failed = {each.trial.tests[0] for each in run(alone) if each.fate != Fate.SURVIVED}
            checked |= killers
            unfit.update(failed)
            results.forget(failed)

    files = sorted({test.partition("::")[0] for trial in trials() for test in trial.tests})
    pytest.main(
        ["-q", "-s", "-p", "no:cacheprovider", *files], plugins=[Runner(work, asked.workers)]
    )
    sys.stdout.write(f"\n{results.survivors()}\n")
    for package in asked.packages:
        sys.stdout.write(f"{results.summary(package)}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

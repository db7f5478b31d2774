"""The command line as people have it: in this process, as a program, and in a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import NamedTuple

import pexpect
import pytest
from kit.patience import PATIENCE_SECONDS

from slipway.cli.running import run

_THEIRS = ("SLIPWAY_", "HW_", "XDG_")
_COLOURS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "CI")
COMMAND = [sys.executable, "-P", "-m", "slipway.cli"]


class Ended(NamedTuple):
    """What a command has told, and its exit code."""

    code: int
    out: str
    err: str


def bare(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment without logins, and with a home of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith((*_THEIRS, *_COLOURS))}
    return {**kept, "HOME": str(home), "TERM": "xterm", **(more or {})}


class Person:
    """Somebody at a machine, with a home of their own.

    Args:
        home: Their folder.
        patch: Sets the environment of this process.
        captured: Reads what this process writes.
    """

    def __init__(
        self, home: Path, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
    ) -> None:
        self.home = home
        self._patch = patch
        self._captured = captured
        for name in [name for name in os.environ if name.startswith((*_THEIRS, *_COLOURS))]:
            patch.delenv(name)
        patch.setenv("HOME", str(home))

    def types(self, *arguments: str, piped: str = "") -> Ended:
        """Run a command in this process, which is no terminal; what is piped is its input."""
        self._captured.readouterr()
        self._patch.setattr("sys.stdin", TextIOWrapper(BytesIO(piped.encode()), "utf-8"))
        code = run(arguments)
        return Ended(code, *self._captured.readouterr())

    def starts(self, *arguments: str, **more: str) -> Ended:
        """Run a command as a program, with more variables."""
        done = subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, check=False,
            env=bare(self.home, more), timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    def sits_at(self, *arguments: str, columns: int = 80, **more: str) -> pexpect.spawn:
        """Run a command in a terminal of its own."""
        return pexpect.spawn(
            COMMAND[0], [*COMMAND[1:], *arguments], env=bare(self.home, more), encoding="utf-8",
            codec_errors="replace",  # Ctrl-C throws away what is on its way, and parts of signs
            dimensions=(24, columns), timeout=PATIENCE_SECONDS,
        )  # fmt: skip


@pytest.fixture
def person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Person:
    """Somebody at a machine of theirs."""
    home = tmp_path / "home"
    home.mkdir()
    return Person(home, monkeypatch, capsys)

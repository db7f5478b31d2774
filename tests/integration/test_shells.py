"""Words are completed at TAB in real shells, by what ``slipway completion`` prints."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pexpect
import pytest
from kit.people import COMMAND, bare
from kit.service import Service

BEGINS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
LOADS = {
    "bash": 'eval "$(slipway completion bash)"',
    "zsh": 'autoload -U compinit && compinit -u -D; eval "$(slipway completion zsh)"',
    "fish": "slipway completion fish | source",
}


@pytest.fixture
def env(tmp_path: Path, shared_service: Service) -> dict[str, str]:
    """The environment of somebody who has ``slipway``, and the address of a service."""
    program = tmp_path / "bin" / "slipway"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    return bare(tmp_path, {"PATH": path, "SLIPWAY_URL": shared_service.url, "LC_ALL": "C.UTF-8"})


def program(shell: str) -> str:
    return shutil.which(shell) or pytest.skip(f"{shell} was not found")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_word_is_completed_while_it_is_typed(shell: str, env: dict[str, str]) -> None:
    child = pexpect.spawn(
        program(shell), BEGINS[shell], env={**env, "PS1": "ready> ", "PROMPT": "ready> "},
        encoding="utf-8", timeout=30, dimensions=(24, 100),
    )  # fmt: skip
    child.expect_exact("ready> ")
    child.sendline(LOADS[shell] + "; echo load''ed")
    child.expect_exact("loaded")
    child.expect_exact("ready> ")
    for typed, completed in (
        ("slipway workfl", "workflows"), ("--outp", "--output"),
        ("\x15slipway run diam", "diamond"), ("-i ", "n="),
    ):  # fmt: skip
        child.send(f"{typed}\t")
        child.expect_exact(completed)
    child.sendcontrol("c")
    child.close(force=True)


def test_fish_completes_and_explains(env: dict[str, str]) -> None:
    def completed(line: str) -> list[list[str]]:
        done = subprocess.run(
            [program("fish"), "--no-config", "-c", f'{LOADS["fish"]}; complete -C "{line}"'],
            env=env, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr == ""
        return [item.split("\t") for item in done.stdout.splitlines()]

    assert completed("slipway workfl") == [["workflows", "List the workflows that you can launch."]]
    assert ["diamond"] in [item[:1] for item in completed("slipway run ")]
    assert completed("slipway run diamond -i ")[0][0] == "n="

"""Blocks of code in the documentation, run as they stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from kit.patience import PATIENCE_SECONDS
from kit.service import clean_environment

_SHELL = """
set -euo pipefail
slipway() { "$PYTHON" -P -m app.cli "$@"; }
curl() {  # curl asks at the terminal for the password of -u ada
    local words=() word password
    for word in "$@"; do
        password=PASSWORD_OF_$word
        if [[ $word =~ ^[a-z]+$ && -v $password ]]; then word=$word:${!password}; fi
        words+=("$word")
    done
    # Of a refusal only who asks for the head wants to see more than that it is one.
    [[ " $* " == *" -si "* || " $* " == *" --fail-with-body "* ]] || words+=(-f)
    command curl --noproxy '*' -sS "${words[@]}"
    echo
}
"""


def blocks(text: str, language: str = "sh") -> list[str]:
    """The blocks of one language in a page, or in a part of one."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run_block(
    block: str,
    folder: Path,
    *,
    passwords: Mapping[str, str] | None = None,
    typed: str = "",
    **env: str,
) -> str:
    """Run a block as people do, and return what it prints.

    Args:
        block: Lines for a shell.
        folder: Where it runs.
        passwords: Those that users type when curl asks for them, by name.
        typed: Its standard input.
        env: Variables that the lines use.
    """
    for program in ("curl", "openssl"):
        if program in block and shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine; see .ci/install-servers")
    known = {f"PASSWORD_OF_{name}": password for name, password in (passwords or {}).items()}
    done = subprocess.run(
        ["bash", "-c", _SHELL + block], cwd=folder, capture_output=True, text=True, check=False,
        env=clean_environment({"PYTHON": sys.executable, **known, **env}),
        input=typed, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout

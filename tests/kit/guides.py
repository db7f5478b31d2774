"""Blocks of code in the documentation, run as they stand there.

A test that runs some says so: ``@pytest.mark.runs("docs/guides/cli.md", "## Logs")``. A page
alone stands for all of its blocks; else those below a heading, or that hold a text. What no test
runs has its reason in the page, in a comment above it: ``<!-- not run: it needs a cluster -->``, or
``<!-- not run down to the next heading: ... -->``. YAML is checked by ``test_documented_yaml``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit.patience import PATIENCE_SECONDS
from kit.service import clean_environment

_PIECES = re.compile(
    r"^(?P<level>#+) [^\n]*$"
    r"|^ *<!-- not run(?P<all> down to the next heading)?: (?P<excuse>[^\n]+?) -->$"
    r"|^ *```(?P<language>[a-z]+)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_SHELL = """
set -euo pipefail
slipway() { "$PYTHON" -P -m slipway.cli "$@"; }
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
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


@dataclass(frozen=True)
class Block:
    """A block of code in a page.

    Attributes:
        page: Path of the page below the root of the project.
        headings: Those that it stands below, as they are written.
        language: As the block names it.
        excuse: Why no test runs it; empty where one has to.
    """

    page: str
    headings: tuple[str, ...]
    language: str
    text: str
    excuse: str

    def is_meant_by(self, page: str, signs: tuple[str, ...]) -> bool:
        """Whether what a test says that it runs has this in it."""
        found = any(sign in self.headings or sign in self.text for sign in signs)
        return page == self.page and (found or not signs)


def blocks_of(root: Path, page: str) -> Iterator[Block]:
    """Return the blocks of a page that name their language."""
    headings: tuple[str, ...] = ()
    excuse_of_all = excuse = ""
    found = _PIECES.finditer((root / page).read_text(encoding="utf-8"))
    for match in found:
        if level := match["level"]:
            above = (each for each in headings if len(each.partition(" ")[0]) < len(level))
            headings = (*above, match[0])
            excuse_of_all = ""
        elif match["excuse"]:
            if match["all"]:
                excuse_of_all = match["excuse"]
            excuse = match["excuse"]
        else:
            yield Block(page, headings, match["language"], match["text"], excuse_of_all or excuse)
            excuse = ""


def below(root: Path, page: str, heading: str) -> list[str]:
    """The blocks for a shell between a heading of a page, as it is written, and the next one."""
    return [
        textwrap.dedent(block.text)
        for block in blocks_of(root, page)
        if (block.headings[-1:], block.language) == ((heading,), "sh")
    ]


def require_programs(*programs: str) -> None:
    """Skip a test whose lines for a shell call programs of which this machine lacks one."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine; see .ci/install-servers")


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
    require_programs(*(each for each in ("curl", "openssl") if each in block))
    known = {f"PASSWORD_OF_{name}": password for name, password in (passwords or {}).items()}
    done = subprocess.run(
        ["bash", "-c", _SHELL + block], cwd=folder, capture_output=True, text=True, check=False,
        env=clean_environment({"PYTHON": sys.executable, **known, **env}),
        input=typed, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout

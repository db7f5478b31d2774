"""The command line as a program: how light it starts, and where its output goes."""

import os
import subprocess
import sys

import pexpect
import pytest
from kit.people import COMMAND, bare

HEAVY = {
    "requests", "urllib3", "rich", "yaml", "jmespath", "platformdirs", "importlib.metadata", "ssl",
    "http.client", "asyncio", "email", "app",
}  # fmt: skip
HEAVY_FOR_A_LIST = HEAVY | {"json", "pathlib", "traceback", "urllib.parse"}
"""What the list of all commands does without, too."""


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], HEAVY_FOR_A_LIST),
        ([], HEAVY_FOR_A_LIST),
        (["version", "--help"], HEAVY),
        (["completion", "zsh"], HEAVY),
    ],
)
def test_help_imports_nothing_that_it_does_not_need(person, arguments, heavy):
    program = (
        f"import sys\nfrom slipway.cli.running import run\nrun({arguments!r})\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=bare(person.home), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    imported = set(done.stderr.split())
    assert "slipway.cli.table" in imported
    assert imported & heavy == set()


def shell(person, line, **more):
    done = subprocess.run(
        ["bash", "-c", line, COMMAND[0]], env=bare(person.home, more), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    return done.stdout, done.stderr


SLIPWAY = '"$0" -P -m slipway.cli'


@pytest.mark.parametrize("word", ["help", "man", "--help"])
def test_a_reader_that_has_enough_is_no_failure(person, word):
    """It is gone before the first line comes."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, word], env=bare(person.home), stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_is_one_sentence(person):
    for word in ("--help", "help", "man"):
        out, err = shell(person, f"{SLIPWAY} {word} > /dev/full; echo $?")
        assert out == "1\n"
        assert err == "slipway: The output cannot be written: No space left on device.\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_stops_nothing(person, closed):
    assert shell(person, f"{SLIPWAY} help {closed}; echo $?")[0].endswith("0\n")


def test_no_character_stops_a_command(person):
    done = person.starts("completion", "nö", PYTHONIOENCODING="ascii")
    assert done.code == 2
    assert "'n?' is not one of" in done.err


def test_the_help_of_a_terminal_of_40_columns_fits(person):
    child = person.sits_at("--help", columns=40)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert max(map(len, child.before.splitlines())) <= 40
    assert "explains a\r\ncommand." in child.before

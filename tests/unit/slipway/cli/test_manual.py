"""Pages of the manual, and llms.txt."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import slipway
from slipway.cli import manual
from slipway.cli.llms import llms
from slipway.cli.table import TABLE, find, members

ROOT = Path(slipway.__file__).parents[1]


def test_there_is_a_page_for_every_command_of_people(person, tmp_path):
    code, out, err = person.types("man", "--write", str(tmp_path / "man1"))
    written = sorted(file.stem for file in (tmp_path / "man1").iterdir())
    assert (code, out) == (0, "")
    assert err == f"{len(written)} pages were written into {tmp_path / 'man1'}.\n"
    assert written == sorted(manual.names())
    assert {"slipway", "slipway-version", "slipway-keys", "slipway-keys-create"} <= set(written)


def test_the_page_of_a_command_has_its_examples_and_options(person):
    page = person.types("man", "ps").out
    assert page.startswith('.TH SLIPWAY-PS 1 ""'), "no date: the same makes the same"
    for line in ("slipway ps\n", "\\fB\\-a", ".SH EXAMPLES\n", ".BR slipway (1)\n"):
        assert line in page
    assert person.types("man", "e", "list").out == page


def test_the_page_of_a_command_that_words_of_before_may_follow_is_that_of_the_command(person):
    page = person.types("man", "workflows").out
    assert "\\fBslipway workflows\\fR [OPTIONS] [TEXT]\n" in page
    assert "those that have it in name or text" in page
    assert "[OPTIONS] COMMAND" in person.types("man", "keys").out


def test_the_main_page_names_everything():
    page = manual.main_page()
    assert all(f"\\fB{entry.name}\\fR".replace("-", "\\-") in page
               for entry in TABLE if entry.shown_alone)  # fmt: skip
    assert "SLIPWAY_TOKEN" in page
    assert "\\fB130\\fR" in page


def test_no_page_is_wrong_for_who_formats_it():
    formatter = shutil.which("groff") or pytest.skip("groff was not found")
    pages = "".join(text for _, text in manual.pages())
    done = subprocess.run(
        [formatter, "-man", "-Tutf8", "-ww", "-z"], input=pages, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("text", ["a\\b", "--wait", ".so /etc/passwd", "'x'", "a 'b"])
def test_no_text_is_a_request_to_the_formatter(text):
    escaped = manual.escaped(text)
    assert not escaped.startswith((".", "'"))
    assert re.sub(r"\\e|\\-|\\\(aq|\\&", "", escaped).count("\\") == 0


def test_llms_txt_is_that_of_the_table():
    text = llms(ROOT / "docs")
    assert text == (ROOT / "llms.txt").read_text(encoding="utf-8"), "make docs"
    assert text.startswith("# Slipway\n\n> ")
    targets = re.findall(r"^- \[.+?\]\((\S+)\)", text, re.MULTILINE)
    assert len(targets) > len(TABLE)
    missing = {target for target in targets if not (ROOT / target).exists()}
    assert missing <= {"docs/guides/cli.md"}


def test_every_example_names_a_command_that_there_is():
    for entry in TABLE:
        for example in entry.examples:
            for words in re.findall(r"slipway ([a-z][a-z_-]*)", example):
                assert find(words) or members(words), example

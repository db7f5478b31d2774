import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import LEVEL_NAMES, Level
from app.log_lines import log_line, log_line_bytes

HEAD = "2022-10-20T12:32:29.774Z INFO  "
NASTY = st.text(
    st.one_of(
        st.sampled_from("\n\r\v\f\x1b\x9b\x07\b\x85\u2028\u2029[]m;: 0KERROINFW"),
        st.characters(exclude_categories=["Cs"]),
    )
)


def line(content: str, level: Level = Level.INFO, task: str = "split") -> str:
    return log_line(1666269149774, level, task, content)


def test_an_entry_is_a_line_with_its_time_level_and_task():
    assert line("done") == HEAD + "split: done\n"
    assert line("done", task="") == HEAD + "done\n"


@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", "\r\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"]
)
def test_what_follows_the_first_line_of_an_entry_is_indented(end):
    forged = "2026-01-01T00:00:00.000Z ERROR b: forged"
    assert line(f"it failed:{end}{forged}{end}") == f"{HEAD}split: it failed:\n    {forged}\n"
    assert line("done", task=f"a{end}{forged}") == f"{HEAD}a {forged}: done\n"


def test_what_moves_the_cursor_of_a_terminal_is_shown_and_colours_stay():
    coloured = "\x1b[1;31mred\x1b[0m \x1b[01;32m\x1b[Kgreen\x1b[m\x1b[0K\tend"
    assert line(coloured) == f"{HEAD}split: {coloured}\n"
    assert line("a\x1b[2Kb\x1b[Ac\bd\x7f\x9bAe\0") == f"{HEAD}split: a␛[2Kb␛[Ac␈d␡\ufffdAe␀\n"


@pytest.mark.parametrize(
    ("level", "content", "shown"),
    [
        (Level.INFO, "INFO splitting", "splitting"),
        (Level.INFO, "  [info] splitting", "splitting"),
        (Level.INFO, "info: splitting", "splitting"),
        (Level.INFO, "INFO: splitting", "splitting"),
        (Level.INFO, "INFO | splitting", "splitting"),
        (Level.WARN, "WARNING:root:old", "root:old"),
        (Level.ERROR, "\x1b[31mERROR\x1b[0m disk full", "\x1b[31m\x1b[0mdisk full"),
        (Level.ERROR, "\x1b[31mERROR disk full\x1b[0m", "\x1b[31mdisk full\x1b[0m"),
        (Level.DEBUG, "DEBUG", "DEBUG"),
        (Level.ERROR, "ERROR: ", "ERROR: "),
        (Level.INFO, "ERROR in what is only info", "ERROR in what is only info"),
        (Level.ERROR, "FATAL out of memory", "FATAL out of memory"),
        (Level.INFO, "NOTICE of something", "NOTICE of something"),
        (Level.INFO, "INFO=1", "INFO=1"),
        (Level.INFO, "Information", "Information"),
    ],
)
def test_a_level_is_not_shown_twice(level, content, shown):
    head = HEAD.replace("INFO ", f"{LEVEL_NAMES[level]:<5}")
    assert line(content, level) == f"{head}split: {shown}\n"


@given(st.sampled_from(list(Level)), st.one_of(st.just(""), NASTY), NASTY)
def test_no_entry_forges_a_line_and_its_bytes_are_those_that_are_counted(level, task, content):
    written = log_line(1666269149774, level, task, content)
    assert len(written.encode()) == log_line_bytes(level, task, content)
    first, *others = written.splitlines()
    assert first.startswith(f"2022-10-20T12:32:29.774Z {LEVEL_NAMES[level]:<5} ")
    assert all(other.startswith("    ") for other in others)
    assert written.endswith("\n")
    assert not re.search(
        "[\0-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\\[[0-9;:]*m|\\[0?K)", written
    )

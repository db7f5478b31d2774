"""Log entries as lines for people: colours stay, and nothing else steers the terminal."""

import os
import time
from datetime import UTC, datetime

import pytest

from slipway.cli.lines import LineFormat, Times
from slipway.models import Level, LogEntry

AT = datetime(2026, 11, 26, 9, 14, 32, 7000, tzinfo=UTC)
RED, RESET = "\x1b[31m", "\x1b[0m"


def entry(content, level="INFO", task="low"):
    return LogEntry(0, AT, Level(level), task, content)


def plain(content, **more):
    return LineFormat(colour=False, names=None).line(entry(content, **more))


def coloured(content, **more):
    return LineFormat(colour=True, names=None).line(entry(content, **more))


@pytest.fixture(autouse=True)
def zone(monkeypatch):
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.pop("TZ", None)
    time.tzset()


def test_what_a_step_says_begins_in_the_same_column_whatever_its_name_is():
    shown = LineFormat(colour=False, names=["a", "日本"])
    lines = [shown.line(entry("x", task=task)) for task in ("a", "日本", "", "longer than those")]
    assert lines == ["a     x\n", "日本  x\n", "      x\n", "longer than those  x\n"]


@pytest.mark.parametrize(
    ("level", "content", "line"),
    [
        ("INFO", "well", "well\n"),
        ("ERROR", "no such file", "ERROR no such file\n"),
        ("ERROR", "ERROR no such file", "ERROR no such file\n"),
        ("WARN", "WARNING: odd", "WARNING: odd\n"),
        ("DEBUG", "detail", "DEBUG detail\n"),
        ("NOTICE", "of a newer service", "NOTICE of a newer service\n"),
    ],
)
def test_the_level_is_told_once_and_where_it_matters(level, content, line):
    assert plain(content, level=level) == line


def test_levels_have_colours():
    assert coloured("no", level="ERROR") == f"{RED}ERROR{RESET} no\n"
    assert coloured("odd", level="WARN") == f"\x1b[33mWARN{RESET} odd\n"


def test_times_are_those_of_the_local_zone():
    full = LineFormat(colour=False, names=["low"], times=Times.FULL)
    assert full.line(entry("x", "WARN")) == "2026-11-26 11:14:32.007 WARN  low  x\n"
    clock = LineFormat(colour=False, names=["low"], times=Times.CLOCK)
    assert clock.line(entry("x", "WARN")) == "11:14:32  low  WARN x\n"


@pytest.mark.parametrize(
    ("content", "left", "kept"),
    [
        (f"{RED}red{RESET}", "red", f"{RED}red{RESET}{RESET}"),
        ("\x1b[1;38;5;9mbold", "bold", f"\x1b[1;38;5;9mbold{RESET}"),
        ("\x1b]0;title\x07x", "x", "x"),
        ("\x1b]52;c;aGk=\x1b\\x", "x", "x"),
        ("\x9d52;c;aGk=\x9cx", "x", "x"),
        ("\x1bPq#0\x1b\\x", "x", "x"),
        ("\x1b[2J\x1b[10A\x1b[?25l\x1b[?1049hx", "x", "x"),
        ("\x1bcx\x1b(0y", "xy", "xy"),
        ("\x1b]52;c;never ends", "52;c;never ends", "52;c;never ends"),
        ("a\x00b\x07c\x08d\x7fe\x9bf", "abcde", "abcde"),
        ("tab\there", "tab\there", "tab\there"),
        ("half\r\nof", "half\n    of", "half\n    of"),
        ("10 %\r20 %", "10 %\n    20 %", "10 %\n    20 %"),
        ("\u2028x\u0085", "\n    x", "\n    x"),
    ],
)
def test_colours_stay_where_there_are_any_and_all_else_goes(content, left, kept):
    assert plain(content) == f"{left}\n"
    assert coloured(content) == f"{kept}\n"


def test_a_name_of_a_step_steers_nothing():
    line = LineFormat(colour=True, names=["a"]).line(entry("x", task="a\x1b[2J\n"))
    assert "\x1b[2J" not in line
    assert line.count("\n") == 1

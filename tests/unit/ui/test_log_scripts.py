"""What the log's scripts make of texts, run by Node where there is one."""

import json

import pytest

from app.ui._assets import STATIC

TEXT = STATIC / "js" / "log" / "text.js"


@pytest.fixture
def run_js(in_node):
    """Run an expression over the exports of a module."""

    def run_js(expression, *values):
        return in_node(
            f"const m = await import({json.dumps(TEXT.as_uri())});"
            f"const values = {json.dumps(values)};"
            f"console.log(JSON.stringify({expression}));"
        )

    return run_js


def shown(runs):
    return [(run["text"], run["style"], run["colour"]) for run in runs]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("plain", [("plain", "", "")]),
        ("\x1b[31mred\x1b[0m.", [("red", "ansi-1", ""), (".", "", "")]),
        ("\x1b[1;94mx", [("x", "ansi-bold ansi-4", "")]),
        ("\x1b[1mb\x1b[22mn", [("b", "ansi-bold", ""), ("n", "", "")]),
        ("\x1b[38;5;208mo", [("o", "", "#ff8700")]),
        ("\x1b[38;5;1mo", [("o", "ansi-1", "")]),
        ("\x1b[38;5;244mo", [("o", "", "#808080")]),
        ("\x1b[38;2;1;2;300mo", [("o", "", "#0102ff")]),
        ("\x1b[48;5;1mo", [("o", "", "")]),
        ("\x1b[48;5;1;31mo", [("o", "ansi-1", "")]),
        ("\x1b[2J\x1b[10;10Hx\x1b[K", [("x", "", "")]),
        ("\x1b]8;;http://evil/\x07link\x1b]8;;\x07", [("link", "", "")]),
        ("\x1b]0;title\x1b\\x", [("x", "", "")]),
        ("cut\x1b[3", [("cut", "", "")]),
        ("\x9b31mred", [("red", "ansi-1", "")]),
        ("10 %\r50 %\r100 %\r", [("100 %", "", "")]),
        ("a\r\nb", [("a\nb", "", "")]),
        ("\u202etxt", [("RLO", "", ""), ("txt", "", "")]),
        ("a\x07\x7f\x85", [("a", "", ""), ("^G", "", ""), ("^?", "", ""), ("\ufffd", "", "")]),
        ("<b>\t", [("<b>\t", "", "")]),
        ("", []),
    ],
)
def test_colours_stay_and_all_else_that_acts_goes(run_js, text, runs):
    assert shown(run_js("m.runs(values[0], true)", text)) == runs


def test_without_colours_the_text_is_the_same(run_js):
    assert shown(run_js("m.runs(values[0], false)", "\x1b[31mred\x1b[0m.")) == [
        ("red", "", ""),
        (".", "", ""),
    ]
    assert run_js("m.plain(values[0])", "\x1b[31mred\x1b[0m\r\n.") == "red\n."


def test_a_sequence_that_is_cut_between_entries_is_one(run_js):
    first, second = "a\x1b[3", "1mred"
    assert run_js("m.unfinished(values[0])", first) == "\x1b[3"
    joined = run_js("m.runs(m.unfinished(values[0]) + values[1], true)", first, second)
    assert shown(joined) == [("red", "ansi-1", "")]


def test_no_text_takes_long(run_js):
    for part in ("\x1b[", "\x1b]", "\x1b[0;", "\r", "\x9b", "\x1b ", "\x1b[31m"):
        text = part * 50_000
        assert isinstance(run_js("m.runs(values[0], true).length", text), int)

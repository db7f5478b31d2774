"""What is written to standard output, for people and for programs."""

import io
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from slipway.cli.codes import Failure
from slipway.cli.output import Column, Output, Table, cell_width, clean, cut
from slipway.cli.terminal import is_coloured
from slipway.cli.times import ago, clock, span

ITEMS = [
    {"id": "7f3a91c2-aaaa", "name": "diamond", "n": 3, "at": datetime(2026, 11, 27, tzinfo=UTC)},
    {"id": "c01d77aa-bbbb", "name": "\x1b[2Jnight\n4", "n": 1000, "at": None},
]
COLUMNS = [
    Column("ID", lambda item: item["id"][:8]),
    Column("NAME", lambda item: item["name"], shrinks=True),
    Column("N", lambda item: str(item["n"]), right=True, leaves=1),
    Column("WHOLE", lambda item: item["id"], wide=True),
]


def written(capsys, format_=None, query=None, items=ITEMS):
    output = Output(format_, query)
    output.records(items, COLUMNS, name=lambda item: item["id"], empty="There is nothing.")
    return capsys.readouterr()


class TestFormats:
    def test_a_table_is_for_people_and_moves_no_cursor(self, capsys):
        assert written(capsys).out == (
            "ID        NAME            N\n"
            "7f3a91c2  diamond         3\n"
            "c01d77aa  \ufffd[2Jnight 4  1000\n"
        )  # fmt: skip

    def test_a_wide_one_has_all_columns(self, capsys):
        assert "WHOLE" in written(capsys, "wide").out

    def test_names_are_what_commands_take(self, capsys):
        assert written(capsys, "name").out == "7f3a91c2-aaaa\nc01d77aa-bbbb\n"

    def test_json_is_one_list(self, capsys):
        found = json.loads(written(capsys, "json").out)
        assert [item["id"] for item in found] == ["7f3a91c2-aaaa", "c01d77aa-bbbb"]
        assert found[0]["at"].startswith("2026-11-27")

    def test_yaml_is_the_same(self, capsys):
        assert yaml.safe_load(written(capsys, "yaml").out) == json.loads(
            written(capsys, "json").out
        )

    @pytest.mark.parametrize(
        ("query", "text"),
        [
            ("[0].id", "7f3a91c2-aaaa\n"), ("[0].n", "3\n"), ("[9]", "null\n"),
            ("[?n > `5`].id", '[\n  "c01d77aa-bbbb"\n]\n'), ("length(@)", "2\n"),
        ],
    )  # fmt: skip
    def test_a_query_is_for_json_and_a_text_has_no_quotes(self, capsys, query, text):
        for format_ in (None, "json", "table", "name"):
            assert written(capsys, format_, query).out == text

    def test_a_query_of_yaml_stays_yaml(self, capsys):
        assert written(capsys, "yaml", "[0].{n: n}").out == "n: 3\n"

    @pytest.mark.parametrize("query", ["[", "", "nothing(@)", "length(`1`)", "a b"])
    def test_a_query_that_is_wrong_is_a_sentence(self, capsys, query):
        with pytest.raises(Failure, match="--query") as caught:
            written(capsys, "json", query)
        assert "\n" not in caught.value.message

    def test_where_there_is_nothing_people_read_so_and_programs_an_empty_list(self, capsys):
        assert written(capsys, items=[]) == ("", "There is nothing.\n")
        assert written(capsys, "json", items=[]) == ("[]\n", "")
        assert written(capsys, "name", items=[]) == ("", "")

    def test_lines_of_json_are_lines(self, capsys):
        output = Output("json", "content")
        output.json_line({"content": "a\u2028b"})
        assert capsys.readouterr().out == "a\u2028b\n"
        Output("json").json_line({"content": "ä\n"})
        assert capsys.readouterr().out == '{"content": "ä\\n"}\n'


class TestTables:
    def lines(self, width, rows=(("7f3a", "a long name of it", "grid=fine"),)):
        table = Table(
            ["ID", "NAME", "LABELS"], rows,
            leaves=[0, 0, 2], right=[False] * 3, shrinks=[False, True, False],
        )  # fmt: skip
        return table.lines(width, [], "…")

    def test_in_a_pipe_nothing_is_cut(self):
        assert self.lines(None)[1] == "7f3a  a long name of it  grid=fine"

    def test_on_a_terminal_what_can_be_shrunk_is_cut_first(self):
        assert self.lines(30)[1] == "7f3a  a long name…   grid=fine"
        assert all(len(line) <= 30 for line in self.lines(30))

    def test_then_columns_leave(self):
        assert self.lines(24) == ["ID    NAME", "7f3a  a long name of it"]

    def test_the_first_column_never_leaves(self):
        assert self.lines(5)[1].startswith("7f3a  ")

    @pytest.mark.parametrize(
        ("text", "width"),
        [("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1), ("👍", 2), ("a\u200db", 2), ("", 0)],
    )
    def test_cells_are_as_wide_as_terminals_show_them(self, text, width):
        assert cell_width(text) == width

    def test_wide_characters_shift_no_column(self):
        lines = self.lines(None, [("1", "日本", "x"), ("2", "ab", "y")])
        assert lines[1:] == ["1   日本  x", "2   ab    y"]

    def test_no_half_of_a_wide_character_is_kept(self):
        assert [cut("日本", width) for width in range(5)] == ["", "", "日", "日", "日本"]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [("a\tb\nc", "a b c"), ("\x1b]0;x\x07", "\ufffd]0;x\ufffd"), ("\u202ex", "\ufffdx"),
     ("\u00a0", "\u00a0"), ("a\u200db", "a\u200db"), ("ok", "ok")],
)  # fmt: skip
def test_a_name_is_one_harmless_line(text, cleaned):
    assert clean(text) == cleaned


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environ", "terminal", "pipe"),
    [
        ({}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"NO_COLOR": "0"}, False, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "0"}, True, False),
        ({"FORCE_COLOR": ""}, True, False),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"CLICOLOR_FORCE": "0"}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
        ({"TTY_COMPATIBLE": "1"}, True, False),
    ],
)
def test_who_gets_colours(environ, terminal, pipe):
    assert is_coloured(Terminal(), environ) is terminal
    assert is_coloured(io.StringIO(), environ) is pipe


NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "short", "long"),
    [
        (0, "0s", "just now"), (-5, "0s", "just now"), (41.9, "41s", "41 s ago"),
        (60, "1m", "1 min ago"), (7199, "1h", "1 h ago"), (86400, "1d", "1 day ago"),
        (5 * 86400, "5d", "5 days ago"),
    ],
)  # fmt: skip
def test_how_long_ago(seconds, short, long):
    assert span(seconds) == short
    assert ago(NOW - timedelta(seconds=seconds), NOW) == long


def test_times_are_local_and_beyond_a_day_with_their_date(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Madrid")
    time.tzset()
    try:
        assert clock(NOW - timedelta(hours=2), NOW) == "11:00"
        assert clock(NOW - timedelta(days=2), NOW) == "2026-11-25 13:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_json_says_all_and_steers_no_terminal(capsys):
    document = {"name": "\x1b[2J \x7f \x9b2J \u00fc"}
    Output("json").value(document)
    Output("json").json_line(document)
    whole = capsys.readouterr().out
    assert not {"\x1b", "\x7f", "\x9b"} & set(whole)
    pretty, line = whole.split("}\n")[:2]
    assert json.loads(pretty + "}") == document == json.loads(line + "}")


def test_what_people_read_has_styles_and_lines_only(capsys):
    Output().record(None, name="", text=lambda: "\x1b[1mUser\x1b[0m ana\x1b]52;c;eA==\x07\n\tx")
    assert capsys.readouterr().out == "\x1b[1mUser\x1b[0m ana\ufffd]52;c;eA==\ufffd\n\tx\n"


def test_a_text_that_was_asked_for_is_exact_but_on_a_terminal(capsys):
    out = Output(query="a")
    out.value({"a": "x\x1b[2Jy"})
    out.width = 80
    out.value({"a": "x\x1b[2Jy"})
    assert capsys.readouterr().out == "x\x1b[2Jy\nx\ufffd[2Jy\n"

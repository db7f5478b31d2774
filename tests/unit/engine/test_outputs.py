import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.launchers.outputs import parse_json, parse_outputs
from app.engine.launchers.shim.reading import MAX_OUTPUTS_BYTES
from app.errors import InvalidRequest

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.just("key"), inner),
)


def test_names_and_values():
    content = b"a=1\nb-2=no\n_c=x=y \r\n\n  \nempty=\nlast=end"
    assert parse_outputs(content) == {
        "a": "1",
        "b-2": "no",
        "_c": "x=y ",
        "empty": "",
        "last": "end",
    }


def test_a_value_behind_colon_equals_is_json():
    content = b'n:=5\nt=5\nlist:=[1, {"a": null}]\r\ntext:="x=y"\nlast:= true \nurl=a:=b'
    assert parse_outputs(content) == {
        "n": 5, "t": "5", "list": [1, {"a": None}], "text": "x=y", "last": True, "url": "a:=b",
    }  # fmt: skip


@pytest.mark.parametrize("line", ["n:=", "n:=five", "n:=NaN", "n:={", ":=1", "a::=1", "a:=1,2"])
def test_a_value_that_is_no_json_is_a_fault_of_its_line(line):
    with pytest.raises(InvalidRequest, match="Line 2 of the outputs"):
        parse_outputs(f"a=1\n{line}".encode())


def test_json_objects_are_merged_and_the_later_wins():
    content = b'{"a": 1, "b": [true, null]}\na=text\n {"b": {"c": 2.5}}\n'
    assert parse_outputs(content) == {"a": "text", "b": {"c": 2.5}}


@given(JSON_VALUES)
def test_any_json_value_comes_through(value):
    assert parse_outputs(json.dumps({"v": value}).encode()) == {"v": value}


def test_what_no_database_keeps_is_replaced():
    content = b'a=\xff\x00\n{"b": ["\\u0000"], "c": {"d": "\\u0000"}}'
    assert parse_outputs(content) == {"a": "\ufffd\ufffd", "b": ["\ufffd"], "c": {"d": "\ufffd"}}


def test_only_a_line_feed_ends_a_line():
    assert parse_outputs("a=x\u2028\x0b\x0cy".encode()) == {"a": "x\u2028\x0b\x0cy"}


@pytest.mark.parametrize(
    "line",
    [
        b"no separator",
        b"=no name",
        b"2nd=x",
        b"a b=x",
        b" a=x",
        b"a =x",
        b'{"a": }',
        b'{"a b": 1}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 100_000,
        b"[1]",
        b"\xff=x",
    ],
)
def test_a_wrong_line_is_named(line):
    with pytest.raises(InvalidRequest, match=r"Line 3 of the outputs"):
        parse_outputs(b"a=1\n\n" + line + b"\nb=2\n")


def test_at_most_1_mib():
    content = b"a=1\n" + b"b=" + b"x" * (MAX_OUTPUTS_BYTES - 6)
    assert set(parse_outputs(content)) == {"a", "b"}
    with pytest.raises(InvalidRequest, match=r"Line 2 .* 1 MiB"):
        parse_outputs(content + b"x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", ""),
        ("nope", ""),
        ("9" * 5000, ""),
        ("[Infinity]", "holds Infinity"),
        ("[-Infinity]", "holds -Infinity"),
        ('{"a": NaN}', "holds NaN"),
        ("[1e999]", "holds a number that is not finite"),
        ('"\\udfff"', "half of a surrogate pair"),
        ('{"\\ud83d": 1}', "half of a surrogate pair"),
        ('["\\ude00\\ud83d"]', "half of a surrogate pair"),
        ("[" * 66 + "]" * 66, "nested more than 64 levels deep"),
        ("[" * 100_000 + "]" * 100_000, "nested more than 64 levels deep"),
    ],
)
def test_json_that_cannot_be_kept_is_refused(text, reason):
    with pytest.raises(ValueError, match=f"not valid JSON.*{reason}"):
        parse_json(text)


def test_a_whole_surrogate_pair_is_a_character():
    assert parse_json('["\\ud83d\\ude00", "\\u0000"]') == ["\U0001f600", "\ufffd"]

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents import lines, write_number
from app.engine import document
from app.errors import InvalidDefinition

tricky = "\t\n\r :-#'\"{}[]|>~!&*%@`,.0123e+=<?yno\x85\u2028\ufeff\x07"
texts = st.text(
    st.sampled_from(tricky) | st.characters(codec="utf-8", exclude_characters="\0"), max_size=20
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(texts, children, max_size=4),
    max_leaves=10,
)


def only_fault(text):
    with pytest.raises(InvalidDefinition) as caught:
        document.read(text)
    (fault,) = caught.value.fields
    return fault


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-1.5", -1.5),
        ("1e3", 1000.0),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("010", 10),
        ("-010000", -10000),
        ("01.50", 1.5),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("22:22", "22:22"),
        ("2:15:00", "2:15:00"),
        ("2024-01-31", "2024-01-31"),
        ("'12'", "12"),
        ("=", "="),
        ("<<", "<<"),
        (".inf", ".inf"),
    ],
)
def test_a_plain_scalar_is_what_json_makes_of_it(plain, value):
    content, faults = document.read(f"- {plain}")
    assert not faults
    assert content == [value]
    assert type(content[0]) is type(value)


def test_json_is_read_as_json():
    text = json.dumps({"a\t": ["\N{GRINNING FACE}", 1e5, "no"], "b": {}}, indent="\t")
    assert document.read(text) == (json.loads(text), [])


@settings(deadline=None)
@given(values)
def test_what_others_write_is_read_again(value):
    text = json.dumps(value)
    content, faults = document.read(text)
    assert not faults
    assert repr(content) == repr(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: 1\nb: \xff", "is not UTF-8 (line 2)"),
        ("a: \ud800", "holds half of a surrogate pair, which is no character (line 1)"),
        ("\n\nb: \x07", "holds a control character (line 3)"),
        ("", "is empty (line 1)"),
        ("# nothing", "is empty (line 1)"),
        ("a: 1\n---\nb: 2", "holds more than one document (line 2)"),
        ("a: 1\n? [b]\n: 2", "must have plain names (line 2)"),
        ("a: 1\nb: c: d", "is not YAML: mapping values are not allowed in this context (line 2)"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text, message):
    assert only_fault(text).message == message


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000])
def test_deep_nesting_is_refused(text):
    assert "nested more than 64 levels deep" in only_fault(text).message


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("a: 1\nb: {c: 1, c: 2}", ("b", "c"), "stands twice, first in line 2"),
        ('{"a": 1, "a": 1}', ("a",), "stands twice, first in line 1"),
        ("a: &x [1]", ("a",), "must not use anchors and aliases"),
        ("a: *x", ("a",), "must not use anchors and aliases"),
        ("&x a: 1", ("a",), "must not use anchors and aliases"),
        ("a: !!python/name:os.system x", ("a",), "must not have a tag"),
        ("a: !!binary eA==", ("a",), "must not have a tag"),
        ("a: " + "9" * 5000, ("a",), "is an integer of more than 64 bits"),
    ],
)
def test_what_yaml_allows_and_a_document_does_not(text, path, message):
    _, faults = document.read(text)
    assert faults == [(path, message)]


def test_an_alias_bomb_does_not_go_off():
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)
    )
    content, faults = document.read(bomb)
    assert len(faults) == 60 + 2 * 59
    assert content["a59"] == [None, None]


def test_the_lines_of_values_are_those_of_their_names():
    text = "id: a\nsteps:\n  - id: b\n    config:\n      x: |\n        y\n  - 3\n"
    assert lines(text) == {
        (): 1,
        ("id",): 1,
        ("steps",): 2,
        ("steps", 0): 3,
        ("steps", 0, "id"): 3,
        ("steps", 0, "config"): 4,
        ("steps", 0, "config", "x"): 5,
        ("steps", 1): 7,
    }


@settings(deadline=None)
@given(st.text(st.sampled_from(tricky), max_size=60) | st.binary() | st.text())
def test_any_text_is_read_or_refused(text):
    with suppress(InvalidDefinition):
        document.read(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_without_an_exponent_and_without_a_loss(number):
    text = write_number(number)
    assert "e" not in text
    assert float(text) == number

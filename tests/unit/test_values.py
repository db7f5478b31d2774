"""JSON values: what of them nothing can keep, and how they are written as text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.values import not_json, to_text

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda children: st.lists(children) | st.dictionaries(texts, children),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"a": ["x\0"]}, ("a", 0), "holds a NUL character"),
        ({"a": "\ud800"}, ("a",), "holds half of a surrogate pair, which is no character"),
        ({"a\0": 1}, (), "holds a name that holds a NUL character"),
        ({1: 1}, (), "holds a name that is not a string"),
        ([float("nan")], (0,), "is not a finite number"),
        ([2**63], (0,), "is an integer of more than 64 bits"),
        ([b"x"], (0,), "is a bytes, which JSON does not know"),
    ],
)
def test_what_other_programs_cannot_read_is_found(value, path, message):
    assert list(not_json(value)) == [(path, message)]


def test_nesting_is_followed_to_its_bound_only():
    value = []
    value.append(value)
    ((path, message),) = not_json(value)
    assert len(path) == 65
    assert message == "is nested more than 64 levels deep"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (1.5, "1.5"),
        ("é", "é"),
        (["é", None], '["é", null]'),
        ({"a": True}, '{"a": true}'),
    ],
)
def test_text_is_written_as_people_expect(value, text):
    assert to_text(value) == text


@given(st.lists(json_values) | st.dictionaries(st.text(), json_values))
def test_collections_are_json(value):
    assert json.loads(to_text(value)) == value

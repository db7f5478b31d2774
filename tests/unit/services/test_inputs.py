from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import Parameter
from app.errors import InvalidRequest
from app.services.inputs import MAX_TEXT_BYTES, validate_inputs

N = Parameter("n", "integer", required=False, default=10, schema={"minimum": 1, "maximum": 99})
NAME = Parameter("name", "string", required=True)
NOTE = Parameter("note", "string", required=False)


def faults(given, *parameters):
    """The faults of inputs, message by path."""
    with pytest.raises(InvalidRequest) as caught:
        validate_inputs(parameters, given)
    return {fault.path: fault.message for fault in caught.value.fields}


def fault_of(value, kind, **schema):
    parameter = Parameter("x", kind, required=True, schema=schema)
    return faults({"x": value}, parameter)["inputs.x"]


def test_defaults_are_filled_in_and_options_left_out():
    assert validate_inputs([N, NAME, NOTE], {"name": "a"}) == {"n": 10, "name": "a"}


def test_what_is_given_wins():
    given = {"note": "b", "name": "a", "n": 3}
    assert validate_inputs([N, NAME, NOTE], given) == given


def test_no_inputs_are_inputs():
    assert validate_inputs([], {}) == {}


def test_all_faults_are_told_at_once():
    assert faults({"n": "three", "m": 1}, N, NAME) == {
        "inputs.n": "must be an integer, got a string",
        "inputs.name": "is required",
        "inputs.m": "is not an input of this workflow",
    }


@pytest.mark.parametrize("given", [None, [], "n", 3, True])
def test_inputs_are_an_object(given):
    assert faults(given, N)["inputs"].startswith("must be an object, got ")


@pytest.mark.parametrize(
    ("value", "kind", "schema", "message"),
    [
        (None, "string", {}, "must be a string, got null"),
        (True, "integer", {}, "must be an integer, got a boolean"),
        (1.5, "integer", {}, "must be an integer, got a number"),
        ("1", "number", {}, "must be a number, got a string"),
        (0, "integer", {"minimum": 1}, "must be at least 1"),
        (9, "integer", {"maximum": 8}, "must be at most 8"),
        (1, "number", {"exclusiveMinimum": 1}, "must be greater than 1"),
        (1, "number", {"exclusiveMaximum": 1}, "must be less than 1"),
        (5, "integer", {"multipleOf": 2}, "must be a multiple of 2"),
        ("", "string", {"minLength": 1}, "must have at least 1 character"),
        ("abc", "string", {"maxLength": 2}, "must have at most 2 characters"),
        ("abc", "string", {"pattern": "^b"}, "must match the pattern ^b"),
        ("abc", "string", {"format": "ipv4"}, "must be a valid ipv4"),
        ("abc", "string", {"enum": ["a", "b"]}, 'must be one of "a", "b"'),
        ([], "array", {"minItems": 1}, "must have at least 1 item"),
        ([1, 1], "array", {"uniqueItems": True}, "must not hold the same item twice"),
        (2**63, "integer", {}, "is an integer of more than 64 bits"),
        (1e300, "integer", {}, "is an integer of more than 64 bits"),
        (float("inf"), "number", {}, "is not a finite number"),
        ("a\0b", "string", {}, "holds a NUL character"),
        ("\ud800", "string", {}, "holds half of a surrogate pair, which is no character"),
        ("é" * MAX_TEXT_BYTES, "string", {}, "must not be longer than 100 KiB as text"),
        (["x" * MAX_TEXT_BYTES], "array", {}, "must not be longer than 100 KiB as text"),
    ],
)
def test_tells_what_was_expected(value, kind, schema, message):
    assert fault_of(value, kind, **schema) == message


def test_tells_the_place_within_a_value():
    parameter = Parameter("x", "array", required=True, schema={"items": {"type": "integer"}})
    assert faults({"x": [1, "2", "\0"]}, parameter) == {"inputs.x[2]": "holds a NUL character"}
    assert faults({"x": [1, "2"]}, parameter) == {"inputs.x[1]": "must be an integer, got a string"}


def test_the_longest_text_fits():
    value = "x" * MAX_TEXT_BYTES
    assert validate_inputs([NAME], {"name": value}) == {"name": value}


def test_an_integer_arrives_as_one():
    values = validate_inputs([N], {"n": 10.0})
    assert repr(values) == "{'n': 10}"


@pytest.mark.parametrize("schema", [{"maxLength": 1}, {"pattern": "^$"}, {"enum": ["a"]}])
def test_no_message_repeats_a_value(schema):
    assert "secret" not in fault_of("secret" * 1000, "string", **schema)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(values | st.dictionaries(st.sampled_from(["n", "name", "note", "m"]), values))
def test_any_json_is_taken_or_refused(given):
    with suppress(InvalidRequest):
        taken = validate_inputs([N, NAME, NOTE], given)
        assert isinstance(taken["n"], int)
        assert isinstance(taken["name"], str)


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [("integer", "-5", -5), ("number", "2.5e3", 2500.0), ("boolean", "true", True)],
)
def test_text_stands_for_a_value_only_where_clients_write_it(type_, text, value):
    parameters = [Parameter("x", type_, required=True)]
    assert validate_inputs(parameters, {"x": text}, read_text=True) == {"x": value}
    with pytest.raises(InvalidRequest):
        validate_inputs(parameters, {"x": text})


@pytest.mark.parametrize(
    ("type_", "text"), [("integer", "5x"), ("number", "NaN"), ("boolean", "1")]
)
def test_other_text_is_refused_there_too(type_, text):
    with pytest.raises(InvalidRequest):
        validate_inputs([Parameter("x", type_, required=True)], {"x": text}, read_text=True)

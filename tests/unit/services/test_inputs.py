from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import Parameter
from app.errors import InvalidRequest
from app.inputs import MAX_TEXT_BYTES
from app.isolation import Isolated
from app.services.inputs import InputChecker

N = Parameter("n", "integer", required=False, default=10, schema={"minimum": 1, "maximum": 99})
NAME = Parameter("name", "string", required=True)
NOTE = Parameter("note", "string", required=False)


def validate_inputs(parameters, given):
    return InputChecker().check(parameters, given)


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
        ("1x", "number", {}, "must be a number, got a string"),
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


def test_all_inputs_together_have_a_limit_and_the_longest_is_named():
    some = [Parameter(f"x{n}", "string", required=True) for n in range(11)]
    given = {f"x{n}": "é" * (MAX_TEXT_BYTES // 2) for n in range(10)}
    assert validate_inputs(some, {**given, "x10": "short"})
    default = Parameter("long", "string", required=False, default="z" * MAX_TEXT_BYTES)
    message = "all inputs must not be longer than 1024 KiB together, as text; this is the longest"
    assert faults({**given, "x10": "short"}, *some, default) == {"inputs.long": f"{message} one"}


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
    [
        ("integer", "5", 5),
        ("integer", "-5", -5),
        ("integer", "+5", 5),
        ("integer", "007", 7),
        ("integer", "9223372036854775807", 2**63 - 1),
        ("number", "5", 5),
        ("number", "2.5e3", 2500.0),
        ("number", ".5", 0.5),
        ("number", "1e22", 1e22),
        ("boolean", "true", True),
        ("boolean", "yes", True),
        ("boolean", "On", True),
        ("boolean", "FALSE", False),
        ("boolean", "no", False),
        ("boolean", "off", False),
        ("array", '["a", 1, null]', ["a", 1, None]),
        ("object", '{"a": {"b": [1.5]}}', {"a": {"b": [1.5]}}),
    ],
)
def test_text_stands_for_the_value_that_it_writes(type_, text, value):
    parameters = [Parameter("x", type_, required=True)]
    taken = validate_inputs(parameters, {"x": text})
    assert repr(taken) == repr({"x": value})


@pytest.mark.parametrize(
    "text", ["5", "1.0", "yes", "true", "null", '["a"]', '{"a": 1}', "", "9223372036854775808"]
)
def test_text_stays_text_where_text_is_wanted(text):
    assert validate_inputs([NAME], {"name": text}) == {"name": text}


@pytest.mark.parametrize(
    ("type_", "text", "message"),
    [
        ("integer", "5x", "must be an integer, got a string"),
        ("integer", "", "must be an integer, got a string"),
        ("integer", " 5", "must be an integer, got a string"),
        ("integer", "5\n", "must be an integer, got a string"),
        ("integer", "5.0", "must be an integer, got a string"),
        ("integer", "1e3", "must be an integer, got a string"),
        ("integer", "0x10", "must be an integer, got a string"),
        ("integer", "\u0665", "must be an integer, got a string"),
        ("integer", "1_000", "must be an integer, got a string"),
        ("integer", "9223372036854775808", "is an integer of more than 64 bits"),
        ("integer", "9" * 5000, "is an integer of more than 64 bits"),
        ("number", "NaN", "must be a number, got a string"),
        ("number", "inf", "must be a number, got a string"),
        ("number", "1e999", "is not a finite number"),
        ("number", "1e-999", "is a number of more digits than a 64-bit float holds"),
        ("number", "1e-99999999999999999999", "is a number of more digits than"),
        ("number", "9007199254740993.0", "is a number of more digits than"),
        ("boolean", "1", "must be a boolean, got a string"),
        ("boolean", "y", "must be a boolean, got a string"),
        ("array", "a,b", "must be an array, got a string that is none in JSON"),
        ("array", "{}", "must be an array, got a string that is none in JSON"),
        ("array", "[NaN]", "must be an array, got a string that is none in JSON"),
        ("array", "[" * 100_000, "must be an array, got a string that is none in JSON"),
        ("array", "[9007199254740993.0]", "must be an array, got a string that is none in JSON"),
        ("object", '{"a": 1, "a": 2}', "must be an object, got a string that is none in JSON"),
        ("object", "[]", "must be an object, got a string that is none in JSON"),
        ("object", "null", "must be an object, got a string that is none in JSON"),
    ],
)
def test_text_that_writes_no_such_value_is_refused(type_, text, message):
    assert fault_of(text, type_).startswith(message)


def test_what_is_within_a_list_is_taken_as_it_is():
    parameter = Parameter("x", "array", required=True, schema={"items": {"type": "integer"}})
    message = "must be an integer, got a string"
    assert faults({"x": '[1, "2"]'}, parameter) == {"inputs.x[1]": message}
    assert faults({"x": [1, "2"]}, parameter) == {"inputs.x[1]": message}


def test_text_that_was_read_is_checked_as_its_value():
    choice = Parameter("x", "integer", required=True, schema={"enum": [1, 2], "maximum": 2})
    assert validate_inputs([choice], {"x": "2"}) == {"x": 2}
    assert faults({"x": "3"}, choice)["inputs.x"].startswith("must be ")


@pytest.mark.parametrize(("value", "equal"), [(1.0, True), (True, False), ("1", False), (2, False)])
@pytest.mark.parametrize("schema", [{"enum": [1]}, {"const": 1}, {"enum": [[1], {"a": 1}]}])
def test_values_are_equal_as_json_schema_says(schema, value, equal):
    nested = schema == {"enum": [[1], {"a": 1}]}
    for written in ([value], {"a": value}) if nested else (value,):
        kind = {list: "array", dict: "object", str: "string", bool: "boolean"}
        parameter = Parameter("x", kind.get(type(written), "number"), required=True, schema=schema)
        if equal:
            assert validate_inputs([parameter], {"x": written}) == {"x": written}
        else:
            assert faults({"x": written}, parameter)["inputs.x"].startswith("must be ")


def test_of_many_faults_the_first_are_told_and_the_number_of_the_others():
    wrong = Parameter("x", "array", required=True, schema={"items": {"type": "integer"}})
    with pytest.raises(InvalidRequest) as caught:
        validate_inputs([wrong], {"x": ["a"] * 5000} | {str(n): n for n in range(5000)})
    assert len(caught.value.fields) == 100
    assert "9900 more faults" in caught.value.message


HUNDRED_KB = {
    "objects that must differ": (
        {"uniqueItems": True},
        [{"a": n, "b": [n % 7]} for n in range(4000)],
    ),
    "a choice of objects": (
        {"items": {"enum": [{"a": n, "b": [n]} for n in range(3000)]}},
        [{"a": n, "b": [n]} for n in range(3000)],
    ),
    "a pattern that makes others try again and again": (
        {"items": {"type": "string", "pattern": "^(a+)+$"}},
        ["a" * 50_000, "a" * 40_000],
    ),
    "numbers": ({"items": {"type": "integer", "minimum": 0}}, list(range(15_000))),
    "lists in lists": (
        {"items": {"type": "array", "items": {"type": "array", "uniqueItems": True}}},
        [[[1, 2], [3]] for _ in range(5000)],
    ),
}


@pytest.mark.parametrize("name", HUNDRED_KB)
def test_large_inputs_are_checked_as_well(name):
    schema, value = HUNDRED_KB[name]
    parameter = Parameter("x", "array", required=True, schema=schema)
    assert validate_inputs([parameter], {"x": value}) == {"x": value}
    wrong = [*value[:-1], value[0] if "uniqueItems" in schema else -1.5]
    assert faults({"x": wrong}, parameter)


@pytest.fixture(scope="module")
def checker():
    return InputChecker(Isolated(seconds=60))


class TestIsolated:
    """Large inputs, checked in a process of their own."""

    @pytest.mark.parametrize("name", HUNDRED_KB)
    def test_gives_the_same(self, checker, name):
        schema, value = HUNDRED_KB[name]
        parameter = Parameter("x", "array", required=True, schema=schema)
        assert checker.check([parameter, N], {"x": value}, "ada") == {"x": value, "n": 10}
        with pytest.raises(InvalidRequest) as caught:
            checker.check([parameter], {"x": [*value, -1.5, -1.5]}, "ada")
        assert caught.value.fields[0].path.startswith("inputs.x")

    def test_names_what_takes_too_long(self):
        checker = InputChecker(Isolated(seconds=0))
        slow = Parameter("x", "string", required=True, schema={"pattern": "^a"})
        with pytest.raises(InvalidRequest, match="not those") as caught:
            checker.check([slow], {"x": "a"}, "ada")
        (fault,) = caught.value.fields
        assert fault.path == "inputs.x"
        assert "must be smaller" in fault.message


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"^(?=.*[A-Z])[a-zA-Z]+$", "aB", "ab"),
        (r"^(\w)x\1$", "axa", "axb"),
        (r"\Aab\Z", "ab", "ab\n"),
        (r"^a$", "a", "a\n"),
        (r"(?i)^abc$", "ABC", "abd"),
    ],
)
def test_patterns_of_most_kinds_are_known(pattern, good, bad):
    parameter = Parameter("x", "string", required=True, schema={"pattern": pattern})
    assert validate_inputs([parameter], {"x": good}) == {"x": good}
    assert faults({"x": bad}, parameter)["inputs.x"].startswith("must match the pattern")


def test_comparing_with_a_pattern_ends():
    schema = {"pattern": r"^(?=a)((a+)+)+\1$"}
    assert "pattern" in fault_of("a" * 50 + "b", "string", **schema)

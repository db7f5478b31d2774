"""From what people type for inputs, or have in files, to values."""

import math

import pytest

from slipway.cli.codes import Failure
from slipway.cli.inputs import argument, check, explained, read_given, value_of
from slipway.models import Input


def described(kind="string", **more):
    schema = more.pop("schema", {})
    raw = {"name": "x", "type": kind, "required": True, "schema": {"type": kind, **schema}, **more}
    return Input.read(raw)


def typed(kind, text, **more):
    return value_of(described(kind, **more), read_given([f"x={text}"], None)["x"])


def in_file(tmp_path, kind, text, name="inputs.yaml"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return value_of(described(kind), read_given([], str(file))["x"])


def refusal(kind, text, **more):
    with pytest.raises(ValueError, match="needed") as caught:
        typed(kind, text, **more)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["007", "true", "", "null", "1e3", "7e013608", "2020-10-10", " a b ", "a=b", "[1", "ünï"],
)
def test_a_text_is_taken_as_it_is(text):
    assert typed("string", text) == text


@pytest.mark.parametrize("text", ["007", "no", "2020-10-10", "1e3", "0x1F", "1:20", "True", "3.10"])
def test_a_text_in_a_file_of_yaml_is_taken_as_it_is_written(tmp_path, text):
    assert in_file(tmp_path, "string", f"x: {text}\n") == text


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "3", 3), ("integer", "-3", -3), ("integer", "+007", 7),
        ("integer", str(2**63 - 1), 2**63 - 1),
        ("number", "1e3", 1000.0), ("number", ".5", 0.5), ("number", "7", 7),
        ("boolean", "true", True), ("boolean", "FALSE", False), ("boolean", "yes", True),
        ("array", '[1, "2"]', [1, "2"]), ("object", '{"a": {"b": null}}', {"a": {"b": None}}),
        ("tosca.blob", "[1]", [1]), ("tosca.blob", "07", "07"), ("tosca.blob", "7", 7),
        ("tosca.blob", "null", "null"), ("tosca.blob", "a b", "a b"),
    ],
)  # fmt: skip
def test_the_type_comes_from_the_description(kind, text, value):
    found = typed(kind, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("integer", "many", 'a whole number is needed, not "many"'),
        ("integer", "1e3", 'a whole number is needed, not "1e3"'),
        ("integer", "3.0", 'a whole number is needed, not "3.0"'),
        ("integer", "1_000", 'a whole number is needed, not "1_000"'),
        ("integer", "٣", 'a whole number is needed, not "٣"'),
        ("integer", "", 'a whole number is needed, not ""'),
        ("integer", str(2**63), f'a whole number of 64 bits is needed, not "{2**63}"'),
        ("number", "NaN", 'a number is needed, not "NaN"'),
        ("number", "inf", 'a number is needed, not "inf"'),
        ("number", "1e400", 'a number that 64 bits hold is needed, not "1e400"'),
        ("number", "9007199254740993.0",
         'a number that 64 bits hold is needed, not "9007199254740993.0"'),
        ("boolean", "maybe", 'true or false is needed, not "maybe"'),
        ("array", "[1", 'a list in JSON, such as [1, 2], is needed, not "[1"'),
        ("array", "[NaN]", 'a list in JSON, such as [1, 2], is needed, not "[NaN]"'),
        ("object", "[1]", 'an object in JSON, such as {"a": 1}, is needed, not "[1]"'),
    ],
)  # fmt: skip
def test_what_is_no_value_of_the_type_is_one_sentence(kind, text, said):
    assert refusal(kind, text) == said


def test_a_wrong_value_is_shown_in_part_and_steers_no_terminal():
    said = refusal("integer", "\x1b[31m" + "9" * 10_000)
    assert "\x1b" not in said
    assert len(said) < 120


def test_nesting_without_end_is_no_value():
    assert "is needed" in refusal("array", "[" * 100_000)


@pytest.mark.parametrize(
    ("kind", "text", "schema", "said"),
    [
        ("integer", "1", {"minimum": 2}, "2 or more is needed, not 1"),
        ("number", "1e3", {"maximum": 10.5}, "10.5 or less is needed, not 1000.0"),
        ("string", "", {"minLength": 1}, "1 character(s) or more is needed, not 0"),
        ("array", "[1, 2]", {"maxItems": 1}, "1 item(s) or less is needed, not 2"),
    ],
)
def test_bounds_that_the_description_tells_are_checked(kind, text, schema, said):
    assert refusal(kind, text, schema=schema) == said


def test_of_allowed_values_all_are_named():
    assert refusal("string", "slow", allowed_values=["fast", "7"]) == (
        'one of fast, 7 is needed, not "slow"'
    )
    assert typed("string", "7", allowed_values=["fast", "7"]) == "7"
    assert refusal("boolean", "true", allowed_values=[1]) == "one of 1 is needed, not true"


def test_all_faults_are_found_at_once():
    inputs = [described("integer", default=None), Input.read(
        {"name": "mode", "type": "string", "required": True, "default": None}
    )]  # fmt: skip
    checked = check(inputs, read_given(["x=many", "mod=fast", "m=3"], None))
    assert [tuple(fault) for fault in checked.faults] == [
        ("x", 'a whole number is needed, not "many"'),
        ("mod", "there is no such input; did you mean mode?"),
        ("m", "there is no such input"),
    ]
    assert [each.name for each in checked.missing] == ["mode"]


def test_an_input_with_a_default_is_not_missing_and_what_was_launched_before_counts():
    inputs = [described("integer", required=False, default=3)]
    assert check(inputs, {}).missing == []
    needed = [described("integer", default=None)]
    assert check(needed, {}, {"x": 9}).values == {"x": 9}
    assert check(needed, read_given(["x=4"], None), {"x": 9}).values == {"x": 4}


@pytest.mark.parametrize("pair", ["n", "=3", "", " =3", "--wait"])
def test_what_is_no_pair_is_one_sentence(pair):
    with pytest.raises(Failure, match="is no input: NAME=VALUE is needed"):
        read_given([pair], None)


def test_an_input_may_be_named_like_an_option():
    assert read_given(["--wait=3"], None) == {"--wait": "3"}


def test_what_is_typed_wins_over_the_file_and_the_last_over_the_first(tmp_path):
    file = tmp_path / "in.json"
    file.write_text('{"a": 1, "b": "two", "c": null}', encoding="utf-8")
    assert read_given(["a=3", "a=4"], str(file)) == {"a": "4", "b": "two"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "null", "---\n"])
def test_an_empty_file_gives_nothing(tmp_path, text):
    file = tmp_path / "in.yaml"
    file.write_text(text, encoding="utf-8")
    assert read_given([], str(file)) == {}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "x: 007\n", 7), ("integer", "x: '7'\n", 7), ("number", "x: 1e3\n", 1000.0),
        ("boolean", "x: no\n", False), ("boolean", "x: true\n", True),
        ("array", "x:\n  - 1\n  - 'a'\n  - no\n  - null\n", [1, "a", "no", None]),
        ("object", "x: {a: 1.5, b: [true]}\n", {"a": 1.5, "b": [True]}),
        ("object", '\t{"x":\t{"a": 1e2}}', {"a": 100.0}),
        ("string", '{"x": true}', "true"), ("string", '{"x": 1.50}', "1.50"),
        ("other", "x: {a: ~}\n", {"a": None}),
    ],
)  # fmt: skip
def test_a_file_is_yaml_or_json(tmp_path, kind, text, value):
    assert in_file(tmp_path, kind, text) == value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[1, 2]", "holds no inputs: NAME: VALUE is needed on each line"),
        (b"just text", "holds no inputs"),
        (b"x: [1", r"is no YAML \(line 1\)"),
        (b"x: &a 1\ny: *a\n", "an anchor or alias in line 1; write it out"),
        (b"a: 1\n---\nb: 2\n", "more than one document"),
        (b"? [a]\n: 1\n", "a name that is no text in line 1"),
        (b"\xff\xfe", "is no text in UTF-8"),
        (b"x: \0", "it has NUL characters"),
        (b"x: \x07", "a character that no text has"),
        (b"[" * 5000, "."),
    ],
)
def test_a_file_that_gives_no_inputs_is_one_sentence(tmp_path, content, said):
    file = tmp_path / "in.yaml"
    file.write_bytes(content)
    with pytest.raises(Failure, match=said) as caught:
        read_given([], str(file))
    assert "\n" not in caught.value.message
    assert caught.value.code == 2


def test_the_text_of_a_file_is_taken_as_it_is_or_parsed(tmp_path):
    file = tmp_path / "data"
    file.write_text("[1,\n 2]\n", encoding="utf-8")
    given = read_given([f"x=@{file}"], None)["x"]
    assert value_of(described("string"), given) == "[1,\n 2]\n"
    assert value_of(described("array"), given) == [1, 2]
    file.write_text(" 7\n", encoding="utf-8")
    assert value_of(described("integer"), read_given([f"x=@{file}"], None)["x"]) == 7
    file.write_text("a: 1\nb: [no]\n", encoding="utf-8")
    given = read_given([f"x=@{file}"], None)["x"]
    assert value_of(described("object"), given) == {"a": 1, "b": ["no"]}


def test_a_file_that_is_not_there_or_huge_or_no_text_is_one_sentence(tmp_path):
    with pytest.raises(Failure, match=r"-i x=@.*missing cannot be read: No such file"):
        read_given([f"x=@{tmp_path}/missing"], None)
    with pytest.raises(Failure, match=r"cannot be read: Is a directory"):
        read_given([f"x=@{tmp_path}"], None)
    with pytest.raises(Failure, match="is no name of a file"):
        read_given(["x=@a\0b"], None)
    with pytest.raises(
        Failure, match=r"/dev/zero is too large to be sent: more than 8 MiB"
    ) as huge:
        read_given(["x=@/dev/zero"], None)
    assert "give its path" in huge.value.hint
    (tmp_path / "picture").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(Failure, match="picture is no text in UTF-8"):
        read_given([f"x=@{tmp_path}/picture"], None)


def test_an_argument_that_is_not_utf_8_is_one_sentence():
    with pytest.raises(Failure, match="-i x: the value is not UTF-8"):
        read_given(["x=\udcff"], None)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"type": "integer", "default": 1000, "schema": {"minimum": 2, "maximum": 10}},
         "integer, 2 to 10, default 1000"),
        ({"type": "string", "schema": {"pattern": "^a"}}, "text, like ^a, needed"),
        ({"type": "array", "required": False, "schema": {"minItems": 1}},
         "list, at least 1 items, may be left out"),
        ({"type": "string", "allowed_values": ["a", "b"], "default": "a"},
         "text, one of a, b, default a"),
        ({"type": "number", "schema": {"exclusiveMinimum": 0}}, "number, more than 0, needed"),
    ],
)  # fmt: skip
def test_an_input_is_explained_in_a_few_words(raw, said):
    assert explained(Input.read({"name": "x", "required": True, **raw})) == said


def test_an_argument_is_quoted_for_the_shell():
    assert argument("n", 3) == "-i n=3"
    assert argument("text", "a 'b'") == """-i 'text=a '"'"'b'"'"''"""
    assert argument("list", [1, "a"]) == """-i 'list=[1, "a"]'"""
    assert math.isclose(typed("number", "0.1"), 0.1)

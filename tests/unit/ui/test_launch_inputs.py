"""Fields of inputs: what they are made of, and what is read of them when they come back."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain import Parameter
from app.errors import FieldError
from app.ui._input_words import takes
from app.ui._inputs import Kind, Posted, fields_of, first, read


def parameter(type_: str = "string", **more: Any) -> Parameter:
    schema = more.pop("schema", {})
    return Parameter(
        more.pop("name", "x"), type_, more.pop("required", False), schema=schema, **more
    )


def posted(one: Parameter, text: str | None, earlier: Any = None, **more: str) -> Posted:
    form = {} if text is None else {f"input:{one.name}": text}
    return read([one], {**form, **more}, earlier)


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (parameter("integer"), Kind.NUMBER),
        (parameter("number"), Kind.NUMBER),
        (parameter("boolean"), Kind.RADIOS),
        (parameter("string"), Kind.TEXT),
        (parameter("string", default="a\nb"), Kind.LINES),
        (parameter("array"), Kind.JSON),
        (parameter("object"), Kind.JSON),
        (parameter(schema={"enum": ["a", "b", "c", "d"]}), Kind.RADIOS),
        (parameter(schema={"enum": ["a", "b", "c", "d", "e"]}), Kind.LIST),
        (parameter("integer", schema={"enum": [1, 2]}), Kind.RADIOS),
        (parameter(name="api_token"), Kind.SECRET),
        (parameter(refusal="it is an attribute"), Kind.FIXED),
    ],
)
def test_each_type_has_its_field(one: Parameter, kind: Kind) -> None:
    (field,) = fields_of([one], first([one], None))
    assert field.kind is kind


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (parameter("integer", schema={"minimum": 1, "maximum": 10**6}, required=True),
         "whole number, 1 … 1,000,000"),
        (parameter("number", schema={"exclusiveMinimum": 0}), "number, more than 0, may stay away"),
        (parameter("string", schema={"minLength": 1}, default="a"), "text, at least 1 character"),
        (parameter("array", schema={"maxItems": 3}, default=[]), "JSON list, at most 3 items"),
        (parameter(schema={"enum": ["a"]}, required=True), ""),
        (parameter(schema={"pattern": "^a"}, required=True), "text, matching ^a"),
    ],
)  # fmt: skip
def test_what_is_taken_is_said(one: Parameter, words: str) -> None:
    assert takes(one) == words


@pytest.mark.parametrize(
    ("one", "text", "value"),
    [
        (parameter("integer"), " 12 ", 12),
        (parameter("number"), "1e3", 1000.0),
        (parameter("boolean"), "true", True),
        (parameter("array"), "[1,\r\n 2]", [1, 2]),
        (parameter("object"), '{"a": null}', {"a": None}),
        (parameter(), "  spaces stay ", "  spaces stay "),
        (parameter(), "007", "007"),
        (parameter(schema={"enum": ["1", 1]}), '"1"', "1"),
        (parameter(schema={"enum": ["1", 1]}), "1", 1),
    ],
)
def test_text_is_read_as_the_input_wants_it(one: Parameter, text: str, value: Any) -> None:
    found = posted(one, text)
    assert (found.values, found.faults) == ({"x": value}, {})
    assert type(found.values["x"]) is type(value)


@pytest.mark.parametrize(
    ("one", "text", "fault"),
    [
        (parameter("integer"), "2,000", "Must be a whole number, such as 12, without separators"),
        (parameter("number"), "half", "Must be a number, such as 12 or 0.5, without separators"),
        (parameter("integer"), "9" * 30, "Is an integer of more than 64 bits"),
        (parameter("array"), '["inlet",\n  ]', "Line 2, column 3: a value was expected"),
        (parameter("object"), "{a: 1}", "Line 1, column 2: a name in double quotes was expected"),
        (parameter("object"), '{"a": 1', "Line 1, column 8: a comma, or the end, was expected"),
        (parameter("array"), "[1] 2", "Line 1, column 5: the value has ended, and more follows"),
        (parameter("array"), "[" * 3000, "Must not be nested so deeply"),
        (parameter("object"), '{"a": 1, "a": 2}', "A name stands twice"),
        (parameter("array"), "[NaN]", "NaN is not JSON"),
        (parameter("array"), "[" + " " * 103_000 + "]", "Must not be longer than 100 KiB"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(one: Parameter, text: str, fault: str) -> None:
    found = posted(one, text)
    assert (found.values, found.faults) == ({}, {"x": [fault]})
    assert found.written["x"].text == text.replace("\r", ""), "what was typed stays"


@pytest.mark.parametrize("type_", ["integer", "number", "boolean", "array", "object"])
def test_an_empty_field_is_not_set_where_nothing_empty_exists(type_: str) -> None:
    assert posted(parameter(type_), "  ").values == {}


def test_long_json_stays_text_that_a_launch_reads() -> None:
    one, text = parameter("array"), "[" + "1, " * 2000 + "2]"
    assert posted(one, text).values == {"x": text}
    assert posted(one, text[:-1]).faults == {"x": ["Line 1, column 6003: this is not JSON"]}
    digits = "9" * 5000
    assert posted(parameter("integer"), digits).values == {"x": digits}


def test_an_optional_text_is_not_set_or_empty() -> None:
    one = parameter()
    assert posted(one, "", **{"mode:x": "unset"}).values == {}
    assert posted(one, "", **{"mode:x": "text"}).values == {"x": ""}
    assert posted(one, "typed", **{"mode:x": "unset"}).values == {"x": "typed"}
    assert posted(parameter(default="a"), "").values == {"x": ""}


def test_an_empty_text_that_is_required_is_asked_about() -> None:
    one = parameter(required=True)
    found = posted(one, "")
    assert (found.values, found.asked_empty) == ({}, {"x"})
    assert posted(one, "", **{"empty:x": "yes"}).values == {"x": ""}
    assert not posted(parameter(required=True, schema={"minLength": 1}), "").asked_empty


@pytest.mark.parametrize(
    ("one", "value"),
    [
        (parameter(), "a\r\nb\rc\n"),
        (parameter(), "\n leading and trailing \n"),
        (parameter("number"), 1e-7),
        (parameter("integer"), -(2**63)),
        (parameter("object"), {"b": [1.0, "ä\u2028", None], "a": {"long": "x" * 80}}),
        (parameter("array"), []),
        (parameter("boolean"), False),
        (parameter(schema={"enum": ["1", 1]}), 1),
    ],
)
def test_what_an_earlier_run_had_comes_back_exactly(one: Parameter, value: Any) -> None:
    earlier = {"x": value}
    shown = first([one], earlier)
    assert shown.values == earlier
    sent = shown.written["x"].text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    found = posted(one, sent, earlier, **{"mode:x": "text"})
    assert found.values == earlier
    assert type(found.values["x"]) is type(value)
    (field,) = fields_of([one], found, earlier)
    assert not field.is_changed


def test_what_differs_from_an_earlier_run_is_marked() -> None:
    one = parameter("integer")
    (field,) = fields_of([one], posted(one, "7", {"x": 12}), {"x": 12})
    assert (field.is_changed, field.earlier_label) == (True, "12")


def test_a_choice_that_is_gone_is_not_chosen() -> None:
    one = parameter(schema={"enum": ["a", "b"]})
    shown = first([one], {"x": "gone"})
    assert (shown.written["x"].is_set, shown.values) == (False, {})


def test_a_secret_is_never_sent_back() -> None:
    one = parameter(name="db_password", default="public")
    for found in (
        first([one], {"db_password": "hidden-0"}),
        posted(one, "hidden-1"),
        posted(one, "hidden-2", {"db_password": "hidden-0"}),
    ):
        (field,) = fields_of([one], found, {"db_password": "hidden-0"})
        assert "hidden" not in repr(field)
        assert "public" not in field.written.text
    assert posted(one, "typed").values == {"db_password": "typed"}
    assert posted(one, "").values == {}


def test_faults_go_to_their_fields() -> None:
    one, other = parameter(name="a"), parameter("array", name="a.b")
    found = Posted()
    rest = found.add(
        [one, other],
        [
            FieldError("inputs.a", "is required"),
            FieldError("inputs.a.b[2]", "must be a string"),
            FieldError("inputs.gone", "is not an input of this workflow"),
            FieldError("labels.x", "no"),
        ],
    )
    assert found.faults == {"a": ["Is required"], "a.b": ["[2]: must be a string"]}
    assert [fault.path for fault in rest] == ["inputs.gone", "labels.x"]

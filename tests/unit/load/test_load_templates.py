import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.load.exchange import Answer
from app.load.faults import StepFailed
from app.load.jsonpath import ABSENT, find, parse_path
from app.load.templates import compile_text, compile_value, names
from app.load.variables import MAX_LENGTH, Result, Scope

VARIABLES = {
    "name": "ann", "n": 5, "x": 1.5, "yes": True, "nothing": None, "list": [1, "a"],
    "user": {"name": "bob", "address": {"city": "x"}}, "user.name": "whole", "env.host": "h",
}  # fmt: skip


def scope():
    made = Scope(VARIABLES)
    headers = [(b"Content-Type", b"text/plain"), (b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2")]
    made.results["login"] = Result("timeout", 1_500, "late", Answer(503, 9, headers, b"h\xff"))
    return made


def rendered(text):
    template = compile_text(text)
    return template(scope()) if callable(template) else template


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain $ { } $x {n}", "plain $ { } $x {n}"),
        ("${name}", "ann"),
        ("a ${name} b ${n}${n}", "a ann b 55"),
        ("${ name }", "ann"),
        ("${x} ${yes} ${nothing}|", "1.5 true |"),
        ("${list} ${user.address}", '[1, "a"] {"city": "x"}'),
        ("${user.name}", "whole"),
        ("${user.address.city}", "x"),
        ("${list.1} ${list.0}", "a 1"),
        ("${env.host}", "h"),
        ("${login.status} ${login.duration} ${login.error}", "timeout 1.5 late"),
        ("${login.status_code} ${login.body}", "503 h\ufffd"),
        ("${login.headers.Content-Type} ${login.headers.set-cookie}", "text/plain a=1, b=2"),
        ("${unknown} ${user.age} ${list.7} ${login.more} ${name.a}",) * 2,
        ("${env:HOME} ${secret:x} ${file:/etc/passwd} ${var:name}",) * 2,
        ("${", "${"),
        ("${}", "${}"),
        ("${a${name}}", "${aann}"),
        ("$${name}", "$ann"),
    ],
)
def test_names_become_what_they_stand_for(text, expected):
    assert rendered(text) == expected


def test_what_was_put_in_is_not_looked_at_again():
    made = Scope({"a": "${b}", "b": "c"})
    assert compile_text("${a}!")(made) == "${b}!"


def test_a_text_without_references_is_ready():
    assert compile_text("plain") == "plain"


def test_a_text_that_is_one_reference_keeps_its_type_within_json():
    value = {"a": "${n}", "b": ["${list}", "${n}${n}", "${unknown}"], "${n}": None, "c": 1}
    assert compile_value(value)(scope()) == {
        "a": 5, "b": [[1, "a"], "55", "${unknown}"], "${n}": None, "c": 1,
    }  # fmt: skip


def test_a_rendered_text_is_bounded():
    made = Scope({"a": "x" * 1000})
    with pytest.raises(StepFailed, match="longer than"):
        compile_text("${a}" * 2000)(made)


def test_variables_are_bounded_in_all():
    made = Scope({})
    made.set("a", "x" * (MAX_LENGTH - 100))
    made.set("a", "x" * (MAX_LENGTH - 100))
    with pytest.raises(StepFailed, match="longer than"):
        made.set("b", ["x" * 100])
    made.remove("a")
    made.set("b", ["x" * 100])


@given(st.text(max_size=60), st.dictionaries(st.text(min_size=1, max_size=3), st.text(max_size=5)))
def test_any_text_can_be_rendered(text, variables):
    template = compile_text(text)
    result = template(Scope(variables)) if callable(template) else template
    if not set(names(text)) & set(variables):
        assert result == text


BODY = {"a": {"b c": [1, {"d": 2}]}, "0": "zero", "x-y": 3}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", BODY),
        ("$.a", BODY["a"]),
        ("a", BODY["a"]),
        ("$.a['b c'][0]", 1),
        ('$["a"]["b c"][1].d', 2),
        ("['a']['b c'][-1].d", 2),
        ("$['0']", "zero"),
        ("$.x-y", 3),
        ("$.nope", ABSENT),
        ("$.a[0]", ABSENT),
        ("$['a']['b c'][2]", ABSENT),
        ("$['a']['b c'][-3]", ABSENT),
        ("$['a']['b c'].x", ABSENT),
    ],
)
def test_a_path_names_one_place(path, expected):
    assert find(BODY, parse_path(path)) == expected


@pytest.mark.parametrize(
    "path", ["$.*", "$..a", "$[*]", "$[?(@.a)]", "$[0:2]", "$[0,1]", "$.", "$a", "a b", "$" * 600]
)
def test_a_path_to_several_places_is_refused(path):
    with pytest.raises(ValueError, match="must be a JSONPath to one place"):
        parse_path(path)

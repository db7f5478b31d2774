import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.load.conditions import MAX_LENGTH, as_number, compile_condition, holds, references
from app.load.exchange import Answer
from app.load.faults import StepFailed
from app.load.variables import Result, Scope

VARIABLES = {
    "n": 5, "text": "abc", "number_text": "10", "yes": True, "no": False, "nothing": None,
    "empty": "", "user": {"name": "ann", "tags": ["a", "b"]}, "env.host": "h", "big": 1e20,
    "a-b": 1, "list": [1],
}  # fmt: skip


def scope():
    made = Scope(VARIABLES)
    made.results["login"] = Result(
        "success", 12_500, "", Answer(201, 12_500, [(b"X-Id", b"7")], b"hello")
    )
    made.results["bad.step"] = Result("failed", 1_000, "no answer")
    return made


def check(condition):
    return compile_condition(condition)(scope())


@pytest.mark.parametrize(
    "condition",
    [
        "${n} == 5",
        "n == 5",
        "n === 5.0",
        "n != 6",
        "n !== 6",
        "n < 6",
        "n > 4",
        "n <= 5",
        "n >= 5",
        "'abc' == text",
        '"abc" == ${text}',
        "text < 'abd'",
        "number_text > 9",
        "'10' > '9'",
        "'10' == 10.0",
        "'a10' < 'a9'",
        "yes",
        "NOT no",
        "not no",
        "yes == true",
        "yes == 'true'",
        "yes AND NOT no",
        "no OR yes",
        "no or no Or yes",
        "yes aNd yes",
        "no AND no OR yes",
        "yes OR no AND no",
        "NOT no AND yes",
        "NOT (no OR no)",
        "NOT NOT yes",
        "((((n))))==5",
        "(n == 5) == true",
        "true",
        "NOT false",
        "${user.name} == 'ann'",
        "user.tags.1 == 'b'",
        "env.host == 'h'",
        "a-b == 1",
        "n == -5 OR n == 5e0",
        "'a\\'b' == \"a'b\"",
        "'${text}d' == 'abcd'",
        "big > 99999999999999999999",
        "${ n } == 5",
        "${login.status} == 'success'",
        "${login.status_code} == 201",
        "login.status_code >= 200 AND login.status_code < 300",
        "login.body == 'hello'",
        "${login.headers.X-Id} == 7",
        "login.headers.x-id == 7",
        "login.duration == 12.5",
        "login.error == ''",
        "bad.step.status == 'failed' AND bad.step.error != ''",
        "list",
        "text",
        "NOT nothing",
        "NOT empty",
        "NOT 0",
        "NOT 'false'",
        "nothing == ''",
        "no OR n",
    ],
)
def test_what_holds(condition):
    assert check(condition)
    assert not check(f"NOT ({condition})")


@pytest.mark.parametrize("condition", ["x", "${x} == 1", "n == user.age", "'${x}' == ''",
                                       "login.cookies == 1", "user.tags.9 == 1", "NOT x",
                                       "${response.status_code} == 200"])  # fmt: skip
def test_an_unknown_name_is_an_error(condition):
    with pytest.raises(StepFailed, match="there is no variable"):
        check(condition)


def test_what_need_not_be_looked_at_is_not():
    assert check("yes OR x")
    assert not check("no AND x")


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("", "must be a condition"),
        ("  ", "must be a condition"),
        ("${loop.index} % 2 == 1", "there is no arithmetic"),
        ("1 + 1 == 2", "there is no arithmetic"),
        ("a && b", "write AND"),
        ("a || b", "write AND"),
        ("!a", "write AND"),
        ("a =", "is no condition at '='"),
        ("a == ", "at its end"),
        ("a == == b", "where a value must be"),
        ("a b", "where AND, OR or its end can be"),
        ("a == b == c", "where AND, OR or its end can be"),
        ("(a", "never closed"),
        ("a)", "at '\\)'"),
        ("'a", "is no condition"),
        ("${a", "is no condition"),
        ("${} == 1", "is no condition"),
        ("AND a", "where a value must be"),
        ("a OR", "at its end"),
        ("NOT", "at its end"),
        ("f(a)", "where AND, OR or its end can be"),
        ("1a == 1", "is no condition"),
        ("a[0] == 1", "is no condition"),
        ("(" * 50 + "a" + ")" * 50, "at most 40 deep"),
        ("a" * (MAX_LENGTH + 1), "at most 4096 characters"),
    ],
)
def test_what_is_no_condition_says_why(condition, message):
    with pytest.raises(ValueError, match=message):
        compile_condition(condition)


def test_the_names_in_a_condition_are_known():
    condition = "${a.b} == c OR NOT 'x ${d}' == \"${e.f}\" AND true"
    assert references(condition) == ["a.b", "c", "d", "e.f"]


TERMS = st.sampled_from(["yes", "no", "n == 5", "n < 5", "text == 'abc'", "'a' == 'b'"])
TRUE = {"yes", "n == 5", "text == 'abc'"}


def grown(inner):
    return st.tuples(inner, st.sampled_from(["AND", "OR"]), inner) | st.tuples(
        st.just("NOT"), inner
    )


def written(tree):
    if isinstance(tree, str):
        return tree
    return "(" + " ".join(part if part in {"AND", "OR", "NOT"} else written(part)
                          for part in tree) + ")"  # fmt: skip


def meant(tree):
    if isinstance(tree, str):
        return tree in TRUE
    if len(tree) == 2:
        return not meant(tree[1])
    left, word, right = tree
    return (meant(left) and meant(right)) if word == "AND" else (meant(left) or meant(right))


@given(st.recursive(TERMS, grown, max_leaves=12))
def test_a_condition_means_what_its_parts_do(tree):
    assert check(written(tree)) == meant(tree)


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_a_value_error(text):
    try:
        compile_condition(text)
    except ValueError:
        return
    references(text)


NUMBERS = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6).map(lambda number: round(number, 3))


@given(NUMBERS, NUMBERS)
def test_numbers_compare_as_numbers_written_as_text_or_not(one, other):
    made = Scope({"a": one, "b": str(other)})
    assert compile_condition("a < b")(made) == (one < other)
    assert compile_condition("a == b")(made) == (one == other)


@given(st.text(max_size=8).filter(lambda text: as_number(text) is None), st.text(max_size=8))
def test_other_texts_compare_as_texts(one, other):
    made = Scope({"a": one, "b": other})
    assert compile_condition("a < b")(made) == (one < other)
    assert compile_condition("a == b")(made) == (one == other)


@pytest.mark.parametrize(
    "text", ["1_000", " 1", "1 ", "0x1F", "1e9999", "nan", "inf", "\N{ARABIC-INDIC DIGIT ONE}", ""]
)
def test_what_only_python_would_take_for_a_number_is_text(text):
    assert as_number(text) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, False), (0.0, False), (1, True), ("0", False), ("FALSE", False), ("no", True),
     (None, False), ([], True), ({}, True), (-1, True)],
)  # fmt: skip
def test_what_a_value_by_itself_means(value, expected):
    assert holds(value) == expected

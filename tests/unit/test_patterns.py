import pickle

import pytest

from app import patterns
from app.patterns import fault_of, matching


def found(pattern, *texts):
    places, number = pickle.loads(matching(pickle.dumps((pattern.encode(), list(texts)))))
    assert number == len(texts)
    return places


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("b", ["abc", "b"]),
        ("^b$", ["b"]),
        ("(?i)ERROR|^warn", ["an Error", "warn"]),
        (r"\d{3}", ["x123y"]),
        (".", ["x", "\N{SNOWMAN}", "\N{GRINNING FACE}"]),
        ("^.$", ["\N{SNOWMAN}", "\N{GRINNING FACE}"]),
        ("(?i)ÄRGER", ["ärger"]),
        (r"\pL\PL", ["é!"]),
        ("(?m)^two$", ["one\ntwo\nthree"]),
        ("one.two", ["one two"]),
        ("(?s)one.two", ["one\ntwo"]),
        ("\x1b\\[31m", ["\x1b[31mred\x1b[0m"]),
    ],
)
def test_a_text_fits_where_the_pattern_matches_somewhere(pattern, texts):
    assert fault_of(pattern.encode()) == b""
    assert found(pattern, *texts) == list(range(len(texts)))
    assert found(pattern, "", "\n") == []


# Each takes Python's own engine longer than anybody waits.
@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a*)*b", "(a|aa)+$", "(?:a?){30}a{30}b", "(.*)*x", "^(([a-z])+.)+[A-Z]"]
)
def test_what_is_catastrophic_elsewhere_is_none_here(pattern):
    assert fault_of(pattern.encode()) == b""
    assert found(pattern, "a" * 50_000 + "!") == []


@pytest.mark.parametrize(
    ("pattern", "what", "place"),
    [
        ("(abc", "missing )", 1),
        ("a(b)(c", "missing )", 5),
        ("é(", "missing )", 2),
        ("(a[(]", "missing )", 1),
        ("a)", "unexpected )", 2),
        (r"a\(b)", "unexpected )", 5),
        (r"\Q(\E)", "unexpected )", 6),
        ("[]a(]b)", "unexpected )", 7),
        ("x[a", "missing ]", 2),
        ("*a", "no argument for repetition operator *", 1),
        ("a*|*b", "no argument for repetition operator *", 4),
        ("a**", "bad repetition operator **", 2),
        ("a{1001}", "invalid repetition size {1001}", 2),
        ("a{2,1}", "invalid repetition size {2,1}", 2),
        ("[z-a]", "invalid character class range z-a", 2),
        ("x[[:foo:]]", "invalid character class range [:foo:]", 3),
        (r"\pX", r"invalid character class range \pX", 1),
        (r"a\1", r"invalid escape sequence \1", 2),
        ("foo(?=x)", "invalid perl operator (?=", 4),
        ("(?<!x)", "invalid perl operator (?<!", 1),
        ("a\\", "trailing \\", 2),
    ],
)
def test_a_fault_says_what_and_where(pattern, what, place):
    said = fault_of(pattern.encode()).decode()
    told, _, hint = said.partition("; ")
    assert told == f"must be a regular expression (RE2): {what} at character {place}"
    assert hint in ("", "RE2 has no backreferences and no look-around")


@pytest.mark.parametrize("pattern", [r"a\1", "(?=x)", "(?!x)", "(?<=x)y"])
def test_what_there_is_not_is_said_so(pattern):
    assert "no backreferences and no look-around" in fault_of(pattern.encode()).decode()


@pytest.mark.parametrize(
    "pattern", [r"\pL{60}", "(?:[a-z]{1,400}[b-y]{1,400}){2}", "[a-z]{1,999}{2}"]
)
def test_what_is_compiled_has_a_bound(pattern):
    said = fault_of(pattern.encode()).decode()
    assert said.startswith(("must be simpler", "must be a regular expression"))


def test_after_a_while_others_have_a_turn(monkeypatch):
    monkeypatch.setattr(patterns, "_SLICE_SECONDS", -1.0)
    work = pickle.dumps((b"x", ["x", "x", "x"]))
    assert pickle.loads(matching(work)) == ([0], 1)


def test_of_a_long_text_the_beginning_is_looked_at():
    assert found("x", "a" * 65_535 + "x", "a" * 65_536 + "x") == [0]

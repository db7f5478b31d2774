"""A test in which a secret is told fails, in whatever form and by whomever it was written."""

from __future__ import annotations

import base64

import pytest
from kit.secrets import leaks_in, register

LONG, ODD = "a-secret-of-these-tests", "the=odd!"
register(LONG)
register(ODD)


def report(said: str) -> pytest.TestReport:
    sections = [("Captured stderr call", said)]
    return pytest.TestReport("a test", ("", 0, ""), {}, "passed", None, "teardown", sections)


@pytest.mark.parametrize("secret", [LONG, ODD])
@pytest.mark.parametrize("form", ["{}", "a {} b", "?api_key={}", "x" * 100_000 + "{}", "ü{}ü"])
def test_it_is_found_wherever_it_stands(secret: str, form: str) -> None:
    [told] = leaks_in(report(form.format(secret)))
    assert told.startswith("Captured stderr call: ")
    assert secret not in told


def test_it_is_found_in_base64_and_percent_encoded() -> None:
    encoded = base64.b64encode(f"ada:{LONG}".encode()).decode()
    assert leaks_in(report(f"Basic {encoded}"))
    assert leaks_in(report("key=the%3Dodd%21"))


@pytest.mark.parametrize("said", ["", "x", LONG[:-1], ODD[1:], "nothing of that"])
def test_other_texts_are_none(said: str) -> None:
    assert leaks_in(report(said)) == []


@pytest.mark.parametrize("word", [None, "", "short", "password", "a password", "10.0.0.1:80"])
def test_what_stands_in_texts_by_chance_is_not_looked_for(word: str | None) -> None:
    register(word)
    assert leaks_in(report(f"said {word} by chance")) == []

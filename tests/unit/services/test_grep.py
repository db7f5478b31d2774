import threading

import pytest
from kit.patience import PATIENCE_SECONDS

from app.domain import Level, LogEntry
from app.errors import InvalidRequest
from app.isolation import Isolated, OverBudget
from app.services.grep import Grep

SLOW = "[a-z]{0,900}X"
"""Takes RE2 as long as a pattern may, for each character of a long word."""


@pytest.fixture(scope="module")
def grep():
    return Grep()


def entries(*contents):
    return [
        LogEntry(place, Level.INFO, 0, "task", content) for place, content in enumerate(contents)
    ]


def sequences(found):
    return [entry.sequence for entry in found]


def test_the_entries_that_match_are_found_in_order(grep):
    some = entries("one", "two", "three", "", "\N{SNOWMAN} one")
    assert sequences(grep.matching(some, "one|three", "ada")) == [0, 2, 4]
    assert grep.matching(some, "four", "ada") == grep.matching([], "one", "ada") == []


def test_a_pattern_that_is_good_is_looked_at_once(grep, monkeypatch):
    grep.check(None, "ada")
    grep.check("good [0-9]+", "ada")
    monkeypatch.setattr(grep, "_isolated", None)
    grep.check("good [0-9]+", "bob")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("", "1 to 500"), ("x" * 501, "1 to 500"), ("(", "at character 1"), ("a**", "character 2")],
)
def test_one_that_is_not_is_said_where(grep, pattern, text):
    for _ in range(2):
        with pytest.raises(InvalidRequest) as caught:
            grep.check(pattern, "ada")
        (fault,) = caught.value.fields
        assert fault.path == "grep"
        assert text in fault.message


def test_many_slices_make_up_the_whole(grep):
    """Each call gives up after a twentieth of a second, and the next one goes on."""
    some = entries(*["a" * 4000 + ("X" if n % 2 else "") for n in range(40)])
    assert sequences(grep.matching(some, SLOW, "ada")) == list(range(1, 40, 2))


def test_what_takes_too_long_is_the_patterns_fault():
    grep = Grep(Isolated(seconds=0.01))
    with pytest.raises(InvalidRequest) as caught:  # as starting the process alone takes longer
        grep.matching(entries("a" * 60_000), SLOW, "ada")
    assert [fault.path for fault in caught.value.fields] == ["grep"]


def test_a_process_that_somebody_ends_is_not_the_patterns_fault(grep, monkeypatch):
    run, calls = grep._isolated.run, []

    def ended_once(*call):
        calls.append(call)
        if len(calls) == 1:
            raise OverBudget("it is gone")
        return run(*call)

    monkeypatch.setattr(grep._isolated, "run", ended_once)
    assert sequences(grep.matching(entries("one", "two"), "two", "ada")) == [1]
    assert len(calls) == 2


def test_nobody_waits_for_what_somebody_else_looks_for(grep):
    """While one user has as much looked for as they like, another one is answered."""
    over, began = threading.Event(), threading.Semaphore(0)

    def look():
        while not over.is_set():
            grep.matching(entries(*["a" * 2000] * 20), SLOW, "mallory page")
            began.release()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            assert began.acquire(timeout=PATIENCE_SECONDS)
        for _ in range(20):
            assert sequences(grep.matching(entries("one", "two"), "two", "ada")) == [1]
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)

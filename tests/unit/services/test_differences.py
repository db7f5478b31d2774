"""What is told of values that differ."""

from __future__ import annotations

import pytest

from app.services.differences import MISSING, MOST_VALUES, ValueChange, changed_values, told, within


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1, 2), (1, True), (0, False), (1, 1.0), (None, 0), ([1], [True]), ({"a": 1}, {"a": 2}),
        ("x", "y"), ("1", 1), ([1, 2], [2, 1]),
    ],
)  # fmt: skip
def test_what_is_another_value_differs(before, after):
    assert changed_values({"n": before}, {"n": after}) == ((ValueChange("n", before, after),), 1)


@pytest.mark.parametrize("value", [None, 0, True, "x", [1, {"a": []}], {"b": 1, "a": 2}, 1.5])
def test_what_is_the_same_does_not(value):
    assert changed_values({"n": value}, {"n": value}) == ((), 0)


def test_the_order_of_names_in_an_object_is_no_difference():
    assert changed_values({"n": {"a": 1, "b": 2}}, {"n": {"b": 2, "a": 1}}) == ((), 0)


def test_a_value_of_one_side_only_is_told_by_name():
    changes, number = changed_values({"b": 1, "same": 0}, {"a": None, "same": 0})
    assert changes == (ValueChange("a", MISSING, None), ValueChange("b", 1, MISSING))
    assert number == 2


def test_of_very_many_the_first_are_told_and_all_are_counted():
    many = {f"{number:04}": number for number in range(MOST_VALUES + 5)}
    changes, number = changed_values(many, {})
    assert [change.name for change in changes] == sorted(many)[:MOST_VALUES]
    assert number == MOST_VALUES + 5


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("n", "x" * 1000, "x" * 1000),
        ("n", "x" * 1001, "x" * 1000 + "..."),
        ("n", ["x" * 996], ["x" * 996]),
        ("n", ["x" * 997], '["' + "x" * 997 + '"' + "..."),
        ("password", "short", "***"),
        ("db_password", ["short"], "***"),
        ("api_token", 5, "***"),
        ("at", "https://ada:pass@example.org/", "https://***@example.org/"),
        ("at", {"deep": {"secret": "x", "plain": "y"}}, {"deep": {"secret": "***", "plain": "y"}}),
        ("n", [[[[[[[{"token": "x"}]]]]]]], [[[[[[[{"token": "***"}]]]]]]]),
        ("n", {"token": "x", "y": "x" * 1000}, '{"token": "***", "y": "' + "x" * 977 + "..."),
        ("at", "x" * 980 + " https://ada:longpassword@host/", "x" * 980 + " https://***@host/"),
        ("at", "x" * 989 + " https://ada:pass@example.org/", "x" * 989 + " https://**..."),
    ],
)
def test_secrets_are_hidden_and_long_values_cut(name, value, shown):
    assert told(name, value) == shown


def test_entries_end_with_the_one_that_reaches_the_bound():
    class Entry:
        content = "12345"

    assert len([*within(iter([Entry()] * 9), 11)]) == 3

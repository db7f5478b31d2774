"""How pages write durations, sizes and moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.ui._words import as_json, duration, moment, number, size, took


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\N{EN DASH}"), (0, "0.0 s"), (0.006, "6 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"),
        (4.2, "4.2 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (187, "3 min 07 s"),
        (3599, "59 min 59 s"), (3840, "1 h 04 min"), (86399, "23 h 59 min"),
        (2 * 86400 + 3 * 3600, "2 d 3 h"), (-5, "0.0 s"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [
        (None, "\N{EN DASH}"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (5 * 1024**4, "5.0 TiB"),
    ],
)
def test_sizes(bytes_: int | None, text: str) -> None:
    assert size(bytes_) == text


def test_numbers_and_values() -> None:
    assert number(1_234_567) == "1,234,567"
    assert as_json({"grün": [1]}) == '{"grün": [1]}'


def test_a_moment_says_how_long_ago_and_the_whole_of_it() -> None:
    three = datetime.now(UTC) - timedelta(minutes=3, seconds=5)
    told = moment(three)
    assert ">3 min ago</time>" in told
    assert f'title="{three:%b %-d, %Y, %H:%M:%S} UTC"' in told
    assert moment(None) == "\N{EN DASH}"
    assert "UTC" in moment(three - timedelta(days=2))


def test_what_runs_says_since_when() -> None:
    began = datetime.now(UTC) - timedelta(seconds=90)
    assert took(began, began + timedelta(seconds=2)) == "2.0 s"
    assert 'data-since="' in took(began, None)
    assert took(None, None) == "\N{EN DASH}"

"""Moments and durations as people type them."""

import time
from datetime import UTC, datetime, timedelta

import click
import pytest

from slipway.cli.moments import Since, Span, span_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("3d", 259200), ("1h30m", 5400), ("1.5m", 90), ("500ms", 0.5), ("1W", 604800)],
)
def test_a_span_is_one_or_more_numbers_with_units(text, seconds):
    assert span_of(text) == seconds
    assert Span().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "h", "5x", "1h 30", "-2h", "1e3s", "nan", "٣h"])
def test_what_is_none_is_refused(text):
    assert span_of(text) is None
    with pytest.raises(click.UsageError, match="is no duration such as 30s"):
        Span().convert(text, None, None)


def test_a_number_alone_is_one_of_seconds_where_a_duration_is_wanted_and_no_moment():
    assert Span().convert("90", None, None) == 90
    with pytest.raises(click.UsageError, match="neither a span such as 2h or 3d nor a date"):
        Since().convert("90", None, None)


def test_a_span_beyond_all_reason_is_as_long_as_any(monkeypatch):
    moment = Since().convert("999999999w", None, None)
    assert moment < datetime.now(UTC) - timedelta(days=36000)


def test_a_date_begins_at_the_local_midnight(monkeypatch):
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    try:
        wanted = datetime(2026, 11, 25, 22, tzinfo=UTC)
        assert Since().convert("2026-11-26", None, None) == wanted
        assert Since().convert("2026-11-25T22:00:00Z", None, None) == wanted
        ago = datetime.now(UTC) - Since().convert("2h", None, None)
        assert abs(ago - timedelta(hours=2)) < timedelta(minutes=1)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "26.11.2026", "", "2026-11-26T25"])
def test_what_is_no_date_is_refused_in_words(text):
    with pytest.raises(click.UsageError, match="neither a span such as 2h or 3d nor a date"):
        Since().convert(text, None, None)

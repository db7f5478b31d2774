from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.durations import (
    format_duration,
    format_go_duration,
    parse_duration,
    parse_go_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("500ms", 0.5),
        ("90s", 90),
        ("1m30s", 90),
        ("1h", 3600),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("5.s", 5),
        ("+5s", 5),
        ("-3s", -3),
        ("1h2m3s4ms5us6ns", 3723.004005006),
        ("1us", 1e-6),
        ("1\N{MICRO SIGN}s", 1e-6),
        ("1\N{GREEK SMALL LETTER MU}s", 1e-6),
        ("1s1s", 2),
        ("0.1s", 0.1),
    ],
)
def test_reads_what_go_reads(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        ".s",
        "1d",
        "1 s",
        " 1s",
        "1s ",
        "1s\n",
        "--1s",
        "1e3s",
        "1S",
        "soon",
        "\u0663s",
    ],
)
def test_refuses_what_go_refuses(text):
    with pytest.raises(ValueError, match="such as 500ms, 90s or 1m30s"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["292000d", "2562048h", "9" * 5000 + "s"])
def test_refuses_what_go_cannot_hold(text):
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (1.5, "1.5s"),
        (60, "1m"),
        (90, "1m30s"),
        (3600, "1h"),
        (5400, "1h30m"),
        (86399.5, "23h59m59.5s"),
        (-90, "-1m30s"),
        (1e-9, "1ns"),
        (1e-10, "0s"),
    ],
)
def test_writes_the_shortest_usual_form(seconds, text):
    assert format_duration(seconds) == text


@given(st.integers(-(2**53), 2**53))
def test_reads_what_it_writes(nanoseconds):
    seconds = nanoseconds / 1e9
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


@given(st.text())
def test_raises_value_errors_only(text):
    with suppress(ValueError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0s"),
        (1, "1\N{MICRO SIGN}s"),
        (849, "849\N{MICRO SIGN}s"),
        (999, "999\N{MICRO SIGN}s"),
        (1_000, "1ms"),
        (1_500, "1.5ms"),
        (51_231, "51.231ms"),
        (892_000, "892ms"),
        (999_999, "999.999ms"),
        (1_000_000, "1s"),
        (1_006_000, "1.006s"),
        (1_000_001, "1.000001s"),
        (10_000_000, "10s"),
        (60_000_000, "1m0s"),
        (65_000_000, "1m5s"),
        (300_000_000, "5m0s"),
        (3_600_000_000, "1h0m0s"),
        (3_600_500_000, "1h0m0.5s"),
        (90_000_000_000, "25h0m0s"),
        (-1_500_000, "-1.5s"),
    ],
)
def test_writes_as_go_does(microseconds, text):
    assert format_go_duration(microseconds) == text
    assert parse_go_duration(text) == microseconds


@pytest.mark.parametrize(
    ("microseconds", "digits", "text"),
    [
        (51_231, 4, "51.23ms"),
        (51_231, 3, "51.2ms"),
        (999_999, 4, "1s"),
        (999, 4, "999\N{MICRO SIGN}s"),
        (1_234_567, 4, "1.235s"),
        (0, 4, "0s"),
        (61_234_567, 4, "1m1.23s"),
        (-51_231, 3, "-51.2ms"),
    ],
)
def test_rounds_to_significant_digits_as_asked(microseconds, digits, text):
    assert format_go_duration(microseconds, digits) == text


@given(st.integers(-(2**63) // 1000 + 1, 2**63 // 1000))
def test_what_is_written_as_go_does_is_read_as_the_same(microseconds):
    assert parse_go_duration(format_go_duration(microseconds)) == microseconds


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("5m", 300_000_000),
        ("1m30s", 90_000_000),
        ("300ms", 300_000),
        ("1.5h", 5_400_000_000),
        ("0", 0),
        ("400ns", 0),
        ("600ns", 1),
        ("-3s", -3_000_000),
        ("1us", 1),
    ],
)
def test_reads_whole_microseconds(text, microseconds):
    assert parse_go_duration(text) == microseconds


@pytest.mark.parametrize(
    "text", ["", "5", "5 s", "s", "1x", "1m-5s", "9999999999h", "\N{ARABIC-INDIC DIGIT FIVE}s"]
)
def test_other_texts_are_no_microseconds(text):
    with pytest.raises(ValueError, match="must be a duration"):
        parse_go_duration(text)

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.durations import format_duration, parse_duration


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

import timeit

import pytest

from app.domain import Level
from app.engine.launchers.base import OutputLine, Stream
from app.engine.levels import level_of


def level(text: str, stream: Stream = Stream.STDOUT) -> Level:
    return level_of(OutputLine(stream, 0.0, text))


@pytest.mark.parametrize(
    ("stream", "expected"),
    [(Stream.STDOUT, Level.INFO), (Stream.STDERR, Level.WARN), (Stream.REMARK, Level.INFO)],
)
@pytest.mark.parametrize("text", ["", "hello", "error rate is fine", " ", "[", "ERRORS: 0", "42"])
def test_a_line_without_a_level_word_takes_that_of_its_stream(text, stream, expected):
    assert level(text, stream) is expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("TRACE", Level.DEBUG),
        ("DEBUG", Level.DEBUG),
        ("INFO", Level.INFO),
        ("NOTICE", Level.INFO),
        ("WARN", Level.WARN),
        ("WARNING", Level.WARN),
        ("ERROR", Level.ERROR),
        ("CRITICAL", Level.ERROR),
        ("FATAL", Level.ERROR),
    ],
)
@pytest.mark.parametrize("stream", list(Stream))
def test_a_level_word_at_the_start_wins(word, expected, stream):
    lower = word.lower()
    for text in (
        word,
        f"{word} disk full",
        f"{word} === disk full",
        f"{word}: disk full",
        f"{word}| disk full",
        f"\x1b[31m{word}\x1b[0m disk full",
        f"\x1b[1;38;5;9m{word}\x1b[0m: disk full",
        f"\x1b[31m{lower}\x1b[0m: disk full",
        f"\x1b[31m{lower}: disk full\x1b[0m",
        f"\x1b[1;33m[{word}]\x1b[0m disk full",
        f"[\x1b[33m{lower}\x1b[0m] disk full",
        f"\x1b[0m \x1b[31m \x1b[1m{word}\x1b[0m disk full",
        f"\x1b[31m\x1b[K{word}\x1b[m\x1b[K disk full",
        f"\x1b[38:2::255:0:0m{word}\x1b[0m disk full",
        f"\x1b]0;a title\x07{word} disk full",
        f"\x9b31m{word} disk full",
        f"{word}:root:disk full",
        f"  \t{word} disk full",
        f"[{word}] disk full",
        f"[{lower}] disk full",
        f"[ {lower} ] disk full",
        f"<{lower}>disk full",
        f"{lower}: disk full",
        f" {word.capitalize()}: disk full",
    ):
        assert level(text, stream) is expected, text


@pytest.mark.parametrize(
    "text",
    [
        "ERROR_COUNT=5",
        "INFORMATION",
        "WARNINGS follow",
        "warning",
        "Error in line 3",
        "[errors]",
        "[error",
        "an ERROR occurred",
        "debugging: on",
        "error : odd",
        "DEBUG=1",
        "DEBUG = 1",
        "DEBUG:=1",
        "WARN =x",
        "ERROR-free",
        "ERROR.log was written",
        "ERROR(s) found",
        "ERROR/WARN counts",
        "\x1b[31mDEBUG=1\x1b[0m",
        "\x1b[31mERROR_COUNT\x1b[0m",
    ],
)
def test_what_only_looks_like_a_level_word(text):
    assert level(text, Stream.STDOUT) is Level.INFO


def test_blanks_cost_what_their_number_says():
    def seconds(length):
        line = OutputLine(Stream.STDOUT, 0.0, " " * length)
        return min(timeit.repeat(lambda: level_of(line), number=20, repeat=5))

    assert level_of(OutputLine(Stream.STDOUT, 0.0, " " * 65536)) is Level.INFO
    assert seconds(65536) < 64 * 8 * seconds(1024), "not by its square"


@pytest.mark.parametrize("unit", ["\x1b[", "\x1b[31m", "\x1b]0;", "[\x1b[0m", "\x1b[0;"])
def test_sequences_cost_what_their_number_says(unit):
    def seconds(length):
        line = OutputLine(Stream.STDOUT, 0.0, unit * (length // len(unit)))
        return min(timeit.repeat(lambda: level_of(line), number=20, repeat=5))

    assert seconds(65536) < 64 * 8 * max(seconds(1024), 1e-5), "not by its square"

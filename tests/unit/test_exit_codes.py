"""What exit codes say in words."""

from __future__ import annotations

import signal

import pytest

from app.exit_codes import meaning, with_meaning


@pytest.mark.parametrize("code", [None, 0, 1, 2, 125, 128, 128 + 65, 200, 255])
def test_other_codes_say_nothing(code):
    assert meaning(code) == ""
    assert with_meaning(code) == f"exit code {code}"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (126, "something that it called was found, but cannot be executed"),
        (127, "something that it called was not found"),
        (129, "SIGHUP: hangup"),
        (130, "SIGINT: interrupt"),
        (134, "SIGABRT: aborted"),
        (137, "SIGKILL: killed"),
        (139, "SIGSEGV: segmentation fault"),
        (141, "SIGPIPE: broken pipe"),
        (143, "SIGTERM: terminated"),
        (128 + 40, "SIGRTMIN+6: real-time signal 6"),
    ],
)
def test_a_code_of_a_shell_is_put_into_words(code, words):
    assert meaning(code) == words
    assert with_meaning(code) == f"exit code {code} ({words})"


def test_each_signal_has_a_name():
    assert all(meaning(128 + number) for number in signal.valid_signals())

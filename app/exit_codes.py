"""What exit codes mean, as shells count them (POSIX.1-2017, Shell Command Language, 2.8.2)."""

from __future__ import annotations

import signal
from typing import Final

_BY_SIGNAL: Final = 128
_REFUSED: Final = {
    126: "something that it called was found, but cannot be executed",
    127: "something that it called was not found",
}


def meaning(exit_code: int | None) -> str:
    """Return what an exit code means by itself, in words; empty where it means nothing.

    Args:
        exit_code: Of a command that was begun; ``128 + n`` when signal ``n`` ended it.
    """
    if exit_code is None:
        return ""
    if exit_code in _REFUSED:
        return _REFUSED[exit_code]
    number = exit_code - _BY_SIGNAL
    if number not in signal.valid_signals():
        return ""
    words = (signal.strsignal(number) or "").lower()
    return f"{_name(number)}: {words}" if words else _name(number)


def with_meaning(exit_code: int | None) -> str:
    """Name an exit code, with what it means in brackets where it means something by itself."""
    words = meaning(exit_code)
    return f"exit code {exit_code} ({words})" if words else f"exit code {exit_code}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal, of which only the first and the last have a name
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"

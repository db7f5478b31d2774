"""Reading what is secret from where it comes."""

from __future__ import annotations

import sys
from typing import Final

from slipway.cli.codes import Failure

_MOST_CHARACTERS: Final = 1 << 16


def secret_line(what: str) -> str:
    """Return the first line of standard input.

    Args:
        what: What it is, as people call it.

    Raises:
        Failure: There is none, or it is no text.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise Failure(f"The {what} is missing: there is no standard input.")
    if sys.stdin.isatty():
        raise Failure(
            f"The {what} is read from standard input, and that is a terminal, which would show it.",
            hint="Pipe it, or leave the option out to be asked.",
        )
    try:
        line = sys.stdin.readline(_MOST_CHARACTERS).rstrip("\r\n")
    except UnicodeDecodeError:
        line = ""
    if not line:
        raise Failure(f"The {what} is missing: the first line of standard input is empty.")
    return line

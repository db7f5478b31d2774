"""What a stream is to people: whether it takes colours, and how wide it is.

The help of ``slipway`` needs no more of the output than this.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO


def is_coloured(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Whether a stream gets colours (no-color.org, bixense.com/clicolors)."""
    if environ.get("NO_COLOR"):
        return False
    if any(environ.get(name, "") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return environ.get("TERM") != "dumb" and stream.isatty()


def terminal_width(stream: IO[str]) -> int | None:
    """Return the columns of a terminal; None where a stream is none."""
    if not stream.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80

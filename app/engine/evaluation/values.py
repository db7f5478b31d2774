"""What expressions make of values, beyond :mod:`app.values`."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from jinja2 import StrictUndefined

_MAX_QUOTED: Final = 200
_NO_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")


class EvaluationError(Exception):
    """An expression has no value; the message is for its author."""


def finite(value: float) -> float:
    """Return a number unchanged, if it is finite.

    Raises:
        EvaluationError: It is infinite or not a number, which JSON cannot say.
    """
    if not math.isfinite(value):
        raise EvaluationError(f"it makes the number {value}, which is not JSON compliant")
    return value


def get_item(container: Any, key: Any) -> Any:
    """Look a key up as Jinja2 does, but never an attribute of one of Python's objects."""
    try:
        return container[key]
    except (LookupError, TypeError):
        return StrictUndefined(f"there is no '{readable(str(key)[:_MAX_QUOTED])}'")


def storable(text: str) -> str:
    """Return a text unchanged, if it can be stored.

    Raises:
        EvaluationError: It holds what no database, command or reader of JSON takes.
    """
    match = _NO_CHARACTER.search(text)
    if match:
        half = "half of a surrogate pair, which is no character"
        what = "a NUL character" if match[0] == "\0" else half
        raise EvaluationError(f"it makes a text that holds {what}")
    return text


def readable(text: str) -> str:
    """Put U+FFFD in the place of what :func:`storable` refuses."""
    return _NO_CHARACTER.sub("\ufffd", text)

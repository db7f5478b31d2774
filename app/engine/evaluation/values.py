"""What expressions make of values: text, JSON, and what is found under a key."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from jinja2 import StrictUndefined

from app.documents import write_number
from app.domain import JSON

_MAX_QUOTED: Final = 200
_NO_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")


class EvaluationError(Exception):
    """An expression has no value; the message is for its author."""


def to_text(value: JSON) -> str:
    """Write a value as text, as templates and environment variables hold it.

    Returns:
        ``true`` or ``false``; nothing for None; JSON of lists and objects; a number in plain
        digits, never with an exponent; a string as it is.
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return write_number(value)
    return to_json(value) if isinstance(value, bool | list | tuple | dict) else str(value)


def to_json(value: JSON) -> str:
    """Write a value as JSON, whose numbers may have exponents.

    Raises:
        ValueError: It holds a number that is not finite.
        UndefinedError: It holds a value that is undefined.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)


def finite(value: float) -> float:
    """Give a number back.

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
    """Give a text back.

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

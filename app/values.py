"""JSON values: what of them nothing can keep, and how they are written as text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping

from app.documents import HALF_PAIR, MAX_DEPTH, TOO_DEEP, TOO_LONG, Fault, Path, write_number
from app.domain import JSON


def not_json(value: JSON, path: Path = ()) -> Iterator[Fault]:
    """Find what cannot be stored, handed to a command, or read by other programs.

    That is: NUL, broken Unicode, numbers that are not finite or have more than 64 bits, nesting
    deeper than :data:`MAX_DEPTH`, and objects that JSON does not know.
    """
    if len(path) > MAX_DEPTH:
        yield Fault(path, TOO_DEEP)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                yield from (Fault(path, f"holds a name that {why}") for why in _text_faults(key))
                yield from not_json(item, (*path, key))
            else:
                yield Fault(path, "holds a name that is not a string")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from not_json(item, (*path, index))
    elif isinstance(value, str):
        yield from (Fault(path, why) for why in _text_faults(value))
    else:
        yield from (Fault(path, why) for why in _scalar_faults(value))


def _text_faults(text: str) -> Iterator[str]:
    if "\0" in text:
        yield "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        yield HALF_PAIR


def _scalar_faults(value: JSON) -> Iterator[str]:
    if value is None or isinstance(value, bool):
        return
    if not isinstance(value, int | float):
        yield f"is a {type(value).__name__}, which JSON does not know"
    elif not math.isfinite(value):
        yield "is not a finite number"
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield TOO_LONG


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

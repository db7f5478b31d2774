"""What an input takes, and what is wrong with it, in the words of a form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from app.domain import JSON, Parameter

_LONGEST: Final = 100
_KINDS: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "JSON list",
    "object": "JSON object",
}
_SIZES: Final = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " character"),
    ("minItems", "maxItems", " item"),
    ("minProperties", "maxProperties", " field"),
)
_NUMBERS: Final = {
    "integer": "Must be a whole number, such as 12, without separators",
    "number": "Must be a number, such as 12 or 0.5, without separators",
}
_JSON_FAULTS: Final = (
    ("Expecting value", "a value was expected"),
    ("Expecting property name", "a name in double quotes was expected"),
    ("Expecting ',' delimiter", "a comma, or the end, was expected"),
    ("Expecting ':' delimiter", "a colon was expected"),
    ("Illegal trailing comma", "a comma stands before the end"),
    ("depth limit", "it is nested too deeply"),
    ("Extra data", "the value has ended, and more follows"),
    ("Unterminated string", "a text begins, and does not end"),
    ("Invalid control character", "a text must not hold this character; write it with a backslash"),
    ("Invalid \\", "a backslash stands before something that needs none"),
)


def takes(parameter: Parameter) -> str:
    """Return what an input takes, such as ``whole number, 1 … 1,000,000``."""
    schema = parameter.schema
    parts = [] if schema.get("enum") else [_KINDS.get(parameter.type, parameter.type)]
    parts += _bounds(schema)
    if schema.get("multipleOf") is not None:
        parts.append(f"a multiple of {_number(schema['multipleOf'])}")
    if schema.get("uniqueItems"):
        parts.append("each once")
    if schema.get("format"):
        parts.append(f"as {_cut(str(schema['format']))}")
    if schema.get("pattern"):
        parts.append(f"matching {_cut(str(schema['pattern']))}")
    if not parameter.required and parameter.default is None:
        parts.append("may stay away")
    return ", ".join(parts)


def _bounds(schema: Mapping[str, JSON]) -> Iterator[str]:
    for low, high, unit in _SIZES:
        least, most = schema.get(low), schema.get(high)
        if least is not None and most is not None:
            yield f"{_number(least)} … {_number(most)}{_several(unit, most)}"
        elif least is not None:
            yield f"at least {_number(least)}{_several(unit, least)}"
        elif most is not None:
            yield f"at most {_number(most)}{_several(unit, most)}"
    if schema.get("exclusiveMinimum") is not None:
        yield f"more than {_number(schema['exclusiveMinimum'])}"
    if schema.get("exclusiveMaximum") is not None:
        yield f"less than {_number(schema['exclusiveMaximum'])}"


def _several(unit: str, number: JSON) -> str:
    return f"{unit}s" if unit and number != 1 else unit


def fault_in_words(parameter: Parameter, place: str, message: str) -> str:
    """Return a fault that the checks of all launches found, as it stands beside a field.

    Args:
        parameter: The input.
        place: Where within its value, such as ``[2].name``; empty for all of it.
        message: As the check has it.
    """
    if not place and message.endswith("got a string") and parameter.type in _NUMBERS:
        return _NUMBERS[parameter.type]
    return f"{place.removeprefix('.')}: {message}" if place else message[:1].upper() + message[1:]


def json_fault(error: Exception) -> str:
    """Return where a text is no JSON, and why."""
    if isinstance(error, json.JSONDecodeError):
        known = (words for begin, words in _JSON_FAULTS if error.msg.startswith(begin))
        why = next(known, "this is not JSON")
        return f"Line {error.lineno}, column {error.colno}: {why}"
    if isinstance(error, RecursionError):
        return "Must not be nested so deeply"
    text = str(error)
    return text[:1].upper() + text[1:]


def _number(value: JSON) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:,}" if is_number else _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

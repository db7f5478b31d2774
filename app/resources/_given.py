"""What a caller sent where something else was expected, in the words of a refusal.

Nothing is repeated that may be a secret: by its name, or by its looks. Of inputs, which may be
called anything, no value is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import orjson
from flask import has_request_context, request

from app.errors import FieldError
from app.json_schema import type_name
from app.observability import redact

_LONGEST: Final = 80
_MOST_BYTES: Final = 64 * 1024
_STEP: Final = re.compile(r"\[([0-9]+)\]|([^.\[\]]+)")
_PRIVATE: Final = re.compile(
    r"^inputs\b|pass|secret|token|key|auth|cookie|ticket|credential|cert|metadata|header|env",
    re.IGNORECASE,
)
_EXPECTS: Final = "must "
"""How a message begins that says what a value should have been."""
_TYPED: Final = ", got "
_JSON_TYPES: Final = ("", "application/json")
_MISSING: Final = object()


def with_given(faults: Iterable[FieldError], given: Any) -> list[FieldError]:
    """Add to faults what was there.

    Args:
        faults: Those, each at its path within what was given.
        given: The arguments as they came.
    """
    return [_with_given(fault, given) for fault in faults]


def with_request(faults: tuple[FieldError, ...]) -> tuple[FieldError, ...]:
    """Add to faults what the current request, if there is one, has there: its query, or its JSON.

    A large body is not read once more.
    """
    if not faults or not has_request_context():
        return faults
    given: dict[str, Any] = dict(request.args)
    if request.mimetype in _JSON_TYPES and 0 < (request.content_length or 0) <= _MOST_BYTES:
        with suppress(orjson.JSONDecodeError):
            body = orjson.loads(request.get_data())
            given = {**given, **body} if isinstance(body, dict) else given
    return tuple(with_given(faults, given))


def quoted(text: str) -> str:
    """Quote what a caller sent, which is cut to 80 characters."""
    shown = redact(text)
    return f"'{shown[:_LONGEST]}...'" if len(shown) > _LONGEST else f"'{shown}'"


def _with_given(fault: FieldError, given: Any) -> FieldError:
    if not fault.message.startswith(_EXPECTS) or _PRIVATE.search(fault.path):
        return fault
    value = _at(given, fault.path)
    if value is _MISSING:
        return fault
    shown = quoted(value) if isinstance(value, str) else _written(value)
    if _TYPED in fault.message:  # the type of it is told already
        return fault if shown[0] != "'" else replace(fault, message=f"{fault.message}: {shown}")
    return replace(fault, message=f"{fault.message}; got {shown}")


def _written(value: Any) -> str:
    if value and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return quoted(", ".join(value[:_LONGEST]))  # a parameter that stands several times
    if value is None or isinstance(value, Mapping | list):
        return type_name(value)
    return quoted(str(value).lower() if isinstance(value, bool) else str(value))


def _at(value: Any, path: str) -> Any:
    """Find what stands at a path; what has no such place is missing."""
    for index, name in _STEP.findall(path):
        if name and isinstance(value, Mapping):
            value = value.get(name, _MISSING)
        elif index and isinstance(value, Sequence) and int(index) < len(value):
            value = value[int(index)]
        else:
            return _MISSING
    return value

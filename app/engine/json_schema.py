"""Validation by JSON Schema, with messages for the people who wrote the document.

The messages of ``jsonschema`` repeat the value, which may be huge, or a secret that was put into
the wrong field; these tell what was expected, and of the value its type at most.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from app.domain import JSON
from app.engine.faults import Fault, Path

Schema = Mapping[str, JSON]

_MAX_LISTED: Final = 25
_MAX_QUOTED: Final = 100


def violations(
    schema: Schema,
    value: JSON,
    path: Path = (),
    formats: FormatChecker = Draft202012Validator.FORMAT_CHECKER,
) -> Iterator[Fault]:
    """Find what in a value does not satisfy a schema.

    Args:
        schema: A valid schema of draft 2020-12.
        value: The value, as JSON.
        path: Where the value stands.
        formats: What ``format`` means; the ``ValueError`` of a check of ours is the message.
    """
    errors = _Validator(schema, format_checker=formats).iter_errors(value)
    faults = (fault for error in errors for fault in _explain(error, path))
    yield from dict.fromkeys(faults)


def schema_violations(schema: Schema, path: Path = ()) -> Iterator[Fault]:
    """Find what in a schema is not draft 2020-12 of JSON Schema."""
    yield from violations(Draft202012Validator.META_SCHEMA, schema, path)


def type_name(value: JSON) -> str:
    """Name the JSON type of a value, with its article: ``an integer``."""
    return next(
        (_TYPES[name] for name in _TYPES if Draft202012Validator.TYPE_CHECKER.is_type(value, name)),
        f"a {type(value).__name__}",
    )


def _property_names(
    validator: Any, names: JSON, instance: JSON, _: Schema
) -> Iterator[ValidationError]:
    """Do as jsonschema does, but with the name in the path of the error."""
    if isinstance(instance, Mapping):
        for name in instance:
            yield from validator.descend(name, names, path=name)


_Validator: Final = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"propertyNames": _property_names}
)

_TYPES: Final = {
    "null": "null",
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "array": "an array",
    "object": "an object",
}

_MESSAGES: Final[Mapping[str, Callable[[Any], str]]] = {
    "const": lambda value: f"must be {_quoted(value)}",
    "enum": lambda values: "must be one of " + _listed([_quoted(value) for value in values]),
    "minimum": lambda bound: f"must be at least {bound}",
    "maximum": lambda bound: f"must be at most {bound}",
    "exclusiveMinimum": lambda bound: f"must be greater than {bound}",
    "exclusiveMaximum": lambda bound: f"must be less than {bound}",
    "multipleOf": lambda factor: f"must be a multiple of {factor}",
    "minLength": lambda length: f"must have at least {_count(length, 'character')}",
    "maxLength": lambda length: f"must have at most {_count(length, 'character')}",
    "pattern": lambda pattern: f"must match the pattern {pattern}",
    "minItems": lambda length: f"must have at least {_count(length, 'item')}",
    "maxItems": lambda length: f"must have at most {_count(length, 'item')}",
    "uniqueItems": lambda _: "must not hold the same item twice",
    "minProperties": lambda length: f"must have at least {_count(length, 'field')}",
    "maxProperties": lambda length: f"must have at most {_count(length, 'field')}",
}


def _explain(error: ValidationError, base: Path) -> Iterator[Fault]:
    keyword = str(error.validator)
    expected: Any = error.validator_value
    value: Any = error.instance
    path = (*base, *error.absolute_path)
    if keyword == "required":
        yield from (Fault((*path, name), "is required") for name in expected if name not in value)
    elif keyword == "additionalProperties":
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        message = f"is not known here; known are: {_listed(sorted(known))}"
        yield from (Fault((*path, name), message) for name in value if name not in known)
    elif keyword == "type":
        types = [expected] if isinstance(expected, str) else expected
        wanted = " or ".join(_TYPES[name] for name in types)
        yield Fault(path, f"must be {wanted}, got {type_name(value)}")
    elif keyword == "format":
        standard = expected in Draft202012Validator.FORMAT_CHECKER.checkers
        yield Fault(path, f"must be a valid {expected}" if standard else str(error.cause))
    elif keyword in _MESSAGES:
        yield Fault(path, _MESSAGES[keyword](expected))
    else:
        yield Fault(path, "is not valid")


def _listed(texts: list[str]) -> str:
    return ", ".join(texts[:_MAX_LISTED]) + (", ..." if len(texts) > _MAX_LISTED else "")


def _quoted(value: JSON) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

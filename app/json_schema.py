"""Validation by JSON Schema, with messages for the people who wrote the document.

The messages of the validator repeat the value, which may be huge, or a secret that was put into the
wrong field; these tell what was expected, and of the value its type at most.

The time of a check grows with the size of schema and value only: items are compared by a hash, and
patterns are matched by an automaton. Look-around and back-references, which no automaton knows, are
tried in a bounded number of steps.

Sources: https://json-schema.org/draft/2020-12 and https://docs.rs/regex (the syntax of patterns).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final

from app.documents import Fault, Path
from app.domain import JSON

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

Schema = Mapping[str, JSON]
Check = Callable[[Any], None]
Formats = Mapping[str, Check]
"""Checks of ``format`` by name; the text of the ValueError that one raises is the message."""

MAX_PATTERN_LENGTH: Final = 1000
"""Longest regular expression, in characters."""

_MAX_LISTED: Final = 25
_MAX_QUOTED: Final = 100
_MOST_BACKTRACKING: Final = 100_000
_NO_TEXT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_META: Final = "https://json-schema.org/draft/2020-12/schema"


def violations(schema: Schema, value: JSON, path: Path = ()) -> Iterator[Fault]:
    """Find what in a value does not satisfy a schema.

    Args:
        schema: A valid schema of draft 2020-12, without references to other documents.
        value: The value, as JSON; integers have 64 bits at most.
        path: Where the value stands.
    """
    yield from _violations(_validator(schema, None), schema, value, path)


class FormatTable(dict[str, Check]):
    """What ``format`` means in definitions of one kind, written down format by format.

    The texts of its checks are for the authors of definitions. What the definitions of all kinds
    share is there from the beginning.
    """

    def __init__(self) -> None:
        super().__init__()
        self.named(
            "definition-id",
            r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?",
            "1 to 100 letters, digits, '.', '_' and '-', with a letter or digit first and no '.' "
            "last",
        )
        self["definition-name"] = _check_name
        self.named("not-blank", r"(?s).*\S.*", "text that is not blank")

    def format(self, name: str) -> Callable[[Check], Check]:
        """Register a check that raises ValueError."""

        def register(check: Check) -> Check:
            self[name] = check
            return check

        return register

    def named(self, name: str, pattern: str, expected: str) -> None:
        """Register a format by its pattern; other types than strings are left to ``type``."""

        @self.format(name)
        def check(value: Any) -> None:
            if isinstance(value, str) and not re.fullmatch(pattern, value):
                raise ValueError(f"must be {expected}")


def normal(name: str) -> str:
    """Write a name as it is compared: in Unicode's normal form C, whatever keyboard wrote it."""
    return unicodedata.normalize("NFC", name)


def _check_name(value: Any) -> None:
    """Refuse a name by which no address could name a workflow (RFC 3986, sections 3.3 and 6.2)."""
    if not isinstance(value, str):
        return
    if "/" in value:
        raise ValueError("must not hold '/', since addresses name workflows by it")
    if value in (".", ".."):
        raise ValueError("must not be '.' or '..', which addresses have another meaning for")
    if any(unicodedata.category(character) in _NO_TEXT for character in value):
        raise ValueError("must not hold control characters, breaks of lines, nor half a character")


class Shape:
    """A schema that is looked at more than once, prepared with the first value.

    Args:
        schema: As for :func:`violations`.
        formats: What ``format`` means, if not what JSON Schema says.
    """

    def __init__(self, schema: Schema, formats: Formats) -> None:
        self._schema, self._formats = schema, formats

    def violations(self, value: JSON) -> Iterator[Fault]:
        """Find what in a value does not satisfy the schema; see :func:`violations`."""
        yield from _violations(self._validator, self._schema, value, ())

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return _validator(self._schema, self._formats)


def schema_violations(schema: Schema, path: Path = ()) -> Iterator[Fault]:
    """Find what in a schema is not draft 2020-12 of JSON Schema."""
    meta = {"$ref": _META}
    faults = list(_violations(_meta_validator(), meta, schema, path))
    yield from faults
    if not faults:
        yield from (Fault((*path, *at), why) for at, why in _pattern_faults(schema, ()))


def knows_pattern(pattern: str) -> bool:
    """Return whether a regular expression is one that values can be checked by."""
    from jsonschema_rs import ValidationError  # noqa: PLC0415

    try:
        _validator({"pattern": pattern}, None)
    except ValidationError:
        return False
    return len(pattern) <= MAX_PATTERN_LENGTH


def type_name(value: JSON) -> str:
    """Name the JSON type of a value, with its article: ``an integer``."""
    if isinstance(value, bool):
        return _TYPES["boolean"]
    if isinstance(value, float):
        return _TYPES["integer" if value.is_integer() else "number"]
    return next((_TYPES[n] for n, t in _CLASSES.items() if isinstance(value, t)), _other(value))


def _other(value: JSON) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def _violations(
    validator: Draft202012Validator, schema: Schema, value: JSON, path: Path
) -> Iterator[Fault]:
    if validator.is_valid(value):
        return
    errors = validator.iter_errors(value)
    yield from dict.fromkeys(fault for error in errors for fault in _explain(error, path, schema))


@cache
def _meta_validator() -> Draft202012Validator:
    return _validator({"$ref": _META}, None)


def _validator(schema: Schema, formats: Formats | None) -> Draft202012Validator:
    # Large, and nothing is checked while nobody asks for anything.
    from jsonschema_rs import Draft202012Validator, FancyRegexOptions  # noqa: PLC0415

    keywords: dict[str, Any] = {"enum": _Choice, "const": _Constant}
    if formats is not None:
        keywords["format"] = _format_keyword(formats)
    return Draft202012Validator(
        _in_our_dialect(schema),
        validate_formats=True,
        pattern_options=FancyRegexOptions(backtrack_limit=_MOST_BACKTRACKING),
        keywords=keywords,
        offline=True,
    )


class _Choice:
    """``enum``: the validator's own compares with each choice, and each error copies them all."""

    def __init__(self, parent: Schema, choices: list[JSON], path: object) -> None:
        self._known = {_identity(choice) for choice in choices}
        self._expected = f"must be one of {_listed([_quoted(choice) for choice in choices[:26]])}"

    def validate(self, value: JSON) -> None:
        if _identity(value) not in self._known:
            raise ValueError(self._expected)


class _Constant:
    """``const``: as ``enum`` of one."""

    def __init__(self, parent: Schema, expected: JSON, path: object) -> None:
        self._known = _identity(expected)
        self._expected = f"must be {_quoted(expected)}"

    def validate(self, value: JSON) -> None:
        if _identity(value) != self._known:
            raise ValueError(self._expected)


def _format_keyword(formats: Formats) -> type:
    class Format:
        def __init__(self, parent: Schema, name: str, path: object) -> None:
            self._check = formats[name]

        def validate(self, value: JSON) -> None:
            self._check(value)

    return Format


def _identity(value: JSON) -> str:
    """Write a value such that two are written alike if, and only if, JSON Schema calls them equal.

    Numbers are equal by value, whatever they are written like; ``true`` is not 1. It is text, since
    only hashes of text are salted: nobody can choose values that share one.
    """
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: JSON) -> JSON:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value


# Anchors of Python and Java, which ECMA-262, and so JSON Schema, does not know.
_ANCHORS: Final = {"A": "(?-m:^)", "Z": "(?-m:$)", "z": "(?-m:$)"}


def _in_our_dialect(schema: JSON) -> JSON:
    """Write the patterns of a schema such that the validator knows them."""
    if not isinstance(schema, Mapping):
        return schema
    translated = dict(schema)
    if isinstance(pattern := schema.get("pattern"), str):
        translated["pattern"] = re.sub(
            r"(?s)\\(.)", lambda escape: _ANCHORS.get(escape[1], escape[0]), pattern
        )
    for word in ("items", "additionalProperties"):
        if word in schema:
            translated[word] = _in_our_dialect(schema[word])
    if isinstance(properties := schema.get("properties"), Mapping):
        translated["properties"] = {n: _in_our_dialect(s) for n, s in properties.items()}
    return translated


def _pattern_faults(schema: JSON, path: Path) -> Iterator[tuple[Path, str]]:
    """Find the patterns that the validator cannot check by, wherever a value's schema has them."""
    if not isinstance(schema, Mapping):
        return
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not knows_pattern(pattern):
        yield (*path, "pattern"), _NO_PATTERN
    for word in ("items", "additionalProperties"):
        yield from _pattern_faults(schema.get(word), (*path, word))
    for name, inner in dict(schema.get("properties") or {}).items():
        yield from _pattern_faults(inner, (*path, "properties", name))


_NO_PATTERN: Final = (
    f"must be a regular expression of at most {MAX_PATTERN_LENGTH} characters, of ECMA-262"
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
_CLASSES: Final = {"integer": int, "string": str, "array": list, "object": Mapping}

_MESSAGES: Final[Mapping[str, Callable[[Any], str]]] = {
    "Minimum": lambda kind: f"must be at least {kind.limit}",
    "Maximum": lambda kind: f"must be at most {kind.limit}",
    "ExclusiveMinimum": lambda kind: f"must be greater than {kind.limit}",
    "ExclusiveMaximum": lambda kind: f"must be less than {kind.limit}",
    "MultipleOf": lambda kind: f"must be a multiple of {kind.multiple_of}",
    "MinLength": lambda kind: f"must have at least {_count(kind.limit, 'character')}",
    "MaxLength": lambda kind: f"must have at most {_count(kind.limit, 'character')}",
    "Pattern": lambda kind: f"must match the pattern {_cut(kind.pattern)}",
    "BacktrackLimitExceeded": lambda _: "must match a pattern, and comparing takes too long",
    "MinItems": lambda kind: f"must have at least {_count(kind.limit, 'item')}",
    "MaxItems": lambda kind: f"must have at most {_count(kind.limit, 'item')}",
    "UniqueItems": lambda _: "must not hold the same item twice",
    "MinProperties": lambda kind: f"must have at least {_count(kind.limit, 'field')}",
    "MaxProperties": lambda kind: f"must have at most {_count(kind.limit, 'field')}",
    "Format": lambda kind: f"must be a valid {kind.format}",
    "Custom": lambda kind: str(kind.message),
}


def _explain(error: ValidationError, base: Path, schema: Schema) -> Iterator[Fault]:
    kind: Any = error.kind
    name = type(kind).__name__
    path = (*base, *error.instance_path)
    if name == "Required":
        yield Fault((*path, kind.property), "is required")
    elif name == "AdditionalProperties":
        why = _unknown(error, schema)
        yield from (Fault((*path, unknown), why) for unknown in kind.unexpected)
    elif name == "PropertyNames":
        inner: ValidationError = kind.error
        for fault in _explain(inner, base, schema):
            yield Fault((*fault.path, str(inner.instance)), fault.message)
    elif name == "Type":
        wanted = " or ".join(_TYPES[type_] for type_ in kind.types)
        yield Fault(path, f"must be {wanted}, got {type_name(error.instance)}")
    elif name in _MESSAGES:
        yield Fault(path, _MESSAGES[name](kind))
    else:
        yield Fault(path, "is not valid")


def _unknown(error: ValidationError, schema: JSON) -> str:
    for part in error.schema_path[:-1]:
        schema = schema[part]
    known = _listed([_cut(name) for name in sorted(schema.get("properties", ()))])
    return f"is not known here; known are: {known}"


def _listed(texts: list[str]) -> str:
    return ", ".join(texts[:_MAX_LISTED]) + (", ..." if len(texts) > _MAX_LISTED else "")


def _quoted(value: JSON) -> str:
    return _cut(json.dumps(value, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

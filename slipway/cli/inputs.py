"""The inputs of a launch: from what people type, or have in a file, to values.

What an input is comes from its description alone. ``x=007``, ``x=true`` and ``x=`` are texts where
a text is wanted, and in a YAML file ``x: 007`` and ``x: no`` are, too. Lists and objects are JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from slipway.cli.codes import Failure
from slipway.cli.given_files import Plain, parse_document, read_document, read_text, settled
from slipway.cli.output import shown

if TYPE_CHECKING:
    from slipway.models import Input

Written = Any
"""A value as it was given: a text, a :class:`Plain` one, or a list or object of such."""

_MOST_DIGITS: Final = 19
"""Of a whole number of 64 bits."""
_WORDS: Final = {"true": True, "yes": True, "on": True} | dict.fromkeys(
    ("false", "no", "off"), False
)
_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)


class _Content(Plain):
    """The text of a file."""

    file: str


class Fault(NamedTuple):
    """What is wrong with one input, or with what was given for it."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of that which was given.

    Attributes:
        values: By the names of the inputs.
        faults: All that are known here; the service knows more.
        missing: Inputs that have to be given, and are not.
    """

    values: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    missing: list[Input] = field(default_factory=list)


def read_given(pairs: Sequence[str], file: str | None) -> dict[str, Written]:
    """Return what was given, by name: that of ``-i`` wins over that of ``--inputs``.

    Args:
        pairs: Each ``NAME=VALUE``, or ``NAME=@FILE``.
        file: A file with YAML or JSON; ``-`` is standard input.

    Raises:
        Failure: One is no such pair, or a file cannot be read.
    """
    given = {} if file is None else _from_file(file)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise Failure(
                f'-i "{shown(pair)}" is no input: NAME=VALUE is needed.',
                hint="A file is given by NAME=@FILE, several inputs by --inputs FILE.",
            )
        given[name.strip()] = _written(name, text)
    return given


def _from_file(file: str) -> dict[str, Written]:
    document = read_document(file)
    if document is None or document == Plain(""):
        return {}
    if not isinstance(document, dict):
        raise Failure(f"{file} holds no inputs: NAME: VALUE is needed on each line.")
    return {str(name): value for name, value in document.items() if value is not None}


def _written(name: str, text: str) -> Plain:
    """Return a value that was typed: the text of the file that it names, if it does."""
    if text.startswith("@"):
        content = _Content(read_text(text[1:], f"-i {shown(name)}=@"))
        content.file = text[1:]
        return content
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Failure(f"-i {shown(name)}: the value is not UTF-8.") from None
    return Plain(text)


def check(
    inputs: Sequence[Input], given: Mapping[str, Written], base: Mapping[str, Any] | None = None
) -> Checked:
    """Make values of what was given, and find what is wrong with it.

    Args:
        inputs: What the workflow takes.
        given: By name, as :func:`read_given` returns it.
        base: Values that others were launched with, where nothing else is given.
    """
    known = {each.name: each for each in inputs}
    checked = Checked({name: value for name, value in (base or {}).items() if name not in given})
    for name, written in given.items():
        if name not in known:
            checked.faults.append(Fault(name, _unknown(name, known)))
            continue
        try:
            checked.values[name] = value_of(known[name], written)
        except ValueError as exc:
            checked.faults.append(Fault(name, str(exc)))
    checked.missing.extend(
        each
        for each in inputs
        if each.required and not each.has_default and each.name not in given
        and each.name not in checked.values
    )  # fmt: skip
    return checked


def _unknown(name: str, known: Mapping[str, Input]) -> str:
    near = get_close_matches(name[:100], known, n=1)
    return f"there is no such input; did you mean {near[0]}?" if near else "there is no such input"


def value_of(described: Input, written: Written) -> Any:
    """Return the value that was written for an input.

    Raises:
        ValueError: It is none that the input takes; the text says what is needed.
    """
    value = _READERS.get(described.type, _read_any)(written)
    _check_bounds(described, value)
    return value


def _read_text(written: Written) -> str:
    if not isinstance(written, str):
        raise ValueError(f"a text is needed, not {shown_value(written)}")
    return str(written)


def _read_integer(written: Written) -> int:
    text = written.strip() if isinstance(written, str) else ""
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"a whole number is needed, not {shown_value(written)}")
    if len(text.lstrip("+-0")) > _MOST_DIGITS or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"a whole number of 64 bits is needed, not {shown_value(written)}")
    return int(text)


def _read_number(written: Written) -> int | float:
    text = written.strip() if isinstance(written, str) else ""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"a number is needed, not {shown_value(written)}")
    if _INTEGER.fullmatch(text):
        return _read_integer(text)
    value = float(text)
    if not math.isfinite(value) or not _is_exact(text, value):
        raise ValueError(f"a number that 64 bits hold is needed, not {shown_value(written)}")
    return value


def _is_exact(text: str, value: float) -> bool:
    """Whether a float is the number that is written, to the digits that a float has."""
    try:
        return Decimal(text) in (Decimal(repr(value)), Decimal(f"{value:.17g}"))
    except InvalidOperation:  # an exponent of more digits than anything has
        return False


def _read_boolean(written: Written) -> bool:
    text = written.strip().lower() if isinstance(written, str) else ""
    if text not in _WORDS:
        raise ValueError(f"true or false is needed, not {shown_value(written)}")
    return _WORDS[text]


def _read_list(written: Written) -> Any:
    return _read_json(written, list, "a list in JSON, such as [1, 2],")


def _read_object(written: Written) -> Any:
    return _read_json(written, dict, 'an object in JSON, such as {"a": 1},')


def _read_json(written: Written, kind: type, needed: str) -> Any:
    if isinstance(written, _Content):
        try:
            written = parse_document(written, written.file)
        except Failure as exc:
            raise ValueError(exc.message.rstrip(".")) from None
    value = _parsed(written) if isinstance(written, str) else settled(written)
    if not isinstance(value, kind):
        raise ValueError(f"{needed} is needed, not {shown_value(written)}")
    return value


def _read_any(written: Written) -> Any:
    """Read what nobody knows the type of: as JSON where it is some, else as text."""
    if not isinstance(written, str):
        return settled(written)
    value = _parsed(written) if isinstance(written, Plain) else None
    return str(written) if value is None else value


def _parsed(text: str) -> Any:
    """Return what a text is in JSON; None where it is none."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


_READERS: Final[Mapping[str, Callable[[Written], Any]]] = {
    "string": _read_text,
    "integer": _read_integer,
    "number": _read_number,
    "boolean": _read_boolean,
    "array": _read_list,
    "object": _read_object,
}


def _check_bounds(described: Input, value: Any) -> None:
    """Check what a description says plainly; the service checks the rest, such as patterns."""
    if described.allowed_values is not None:
        # True is not 1 here, though it is to Python.
        if not any(
            type(each) is type(value) and each == value for each in described.allowed_values
        ):
            choices = ", ".join(_plain(each) for each in described.allowed_values)
            raise ValueError(f"one of {shown(choices, 200)} is needed, not {shown_value(value)}")
        return
    schema = described.schema
    if isinstance(value, int | float) and not isinstance(value, bool):
        _check_size(schema, value, ("minimum", "maximum"), "")
    elif isinstance(value, str):
        _check_size(schema, len(value), ("minLength", "maxLength"), " character(s)")
    elif isinstance(value, list):
        _check_size(schema, len(value), ("minItems", "maxItems"), " item(s)")


def _check_size(schema: Mapping[str, Any], size: float, words: tuple[str, str], unit: str) -> None:
    least, most = (_bound(schema, word) for word in words)
    if least is not None and size < least:
        raise ValueError(f"{_plain(least)}{unit} or more is needed, not {_plain(size)}")
    if most is not None and size > most:
        raise ValueError(f"{_plain(most)}{unit} or less is needed, not {_plain(size)}")


def _bound(schema: Mapping[str, Any], word: str) -> int | float | None:
    value = schema.get(word)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def explained(described: Input) -> str:
    """Return what an input takes, in a few words: ``integer, 2 to 100, default 10``."""
    parts = [kind_of(described)]
    if described.allowed_values is not None:
        parts.append("one of " + ", ".join(_plain(each) for each in described.allowed_values))
    parts += _bounds_explained(described.schema)
    if described.has_default:
        parts.append(f"default {_plain(described.default)}")
    elif not described.required:
        parts.append("may be left out")
    else:
        parts.append("needed")
    return ", ".join(parts)


def kind_of(described: Input) -> str:
    """Return the type of an input in a word for people."""
    return _KINDS.get(described.type, described.type)


_KINDS: Final = {"string": "text", "array": "list"}
_SIZES: Final = (
    ("minimum", "maximum", ""),
    ("exclusiveMinimum", "exclusiveMaximum", " (both excluded)"),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
)


def _bounds_explained(schema: Mapping[str, Any]) -> list[str]:
    found = []
    for low, high, unit in _SIZES:
        least, most = _bound(schema, low), _bound(schema, high)
        if least is not None and most is not None:
            found.append(f"{_plain(least)} to {_plain(most)}{unit}")
        elif low.startswith("exclusive"):
            found += [f"more than {_plain(least)}"] * (least is not None)
            found += [f"less than {_plain(most)}"] * (most is not None)
        else:
            found += [f"at least {_plain(least)}{unit}"] * (least is not None)
            found += [f"at most {_plain(most)}{unit}"] * (most is not None)
    for word, text in (("multipleOf", "a multiple of"), ("format", "format"), ("pattern", "like")):
        if word in schema:
            found.append(f"{text} {_plain(schema[word])}")
    return found


def _plain(value: Any) -> str:
    """Return a value as somebody would type it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def shown_value(value: Any) -> str:
    """Return a wrong value as a message can have it."""
    if isinstance(value, str):
        return f'"{shown(value)}"'
    return shown(json.dumps(value, ensure_ascii=False, default=str))


def argument(name: str, value: Any) -> str:
    """Return what launches with this value, as it is typed into a shell."""
    from shlex import quote  # noqa: PLC0415  (for examples only)

    return f"-i {quote(f'{name}={_plain(value)}')}"

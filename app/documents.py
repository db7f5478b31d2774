"""The one reader of YAML and JSON: for the settings, and for workflow definitions.

A document holds what JSON can say. YAML adds its syntax and comments, and no more: no name that
stands twice, no anchors and aliases (nor their bombs), no tags, no merge keys. A plain scalar is
null, a boolean or a decimal number as in YAML 1.2, and a string otherwise; so ``010000`` is ten
thousand, and ``no``, ``on``, ``2024-01-31``, ``2:15`` and ``0x1F`` are strings.

Sources: https://yaml.org/spec/1.2.2/#103-core-schema and RFC 8259.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

import yaml

from app.domain import JSON
from app.errors import FieldError

MAX_DEPTH: Final = 64
"""Deepest nesting of a document; what people write stays below 10."""

SCALAR: Final = re.compile(
    r"null|Null|NULL|true|True|TRUE|false|False|FALSE"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
)
"""Plain scalars that are no strings."""

# libyaml's parser is 15 times as fast, but PyYAML can be built without it.
_PARSER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_WORDS: Final = {"null": None, "true": True, "false": False}
_MAX_NAME_LENGTH: Final = 100
_TOLD_LINE: Final = re.compile(r" \(line ([0-9]{1,9})\)\Z")

Path = tuple[str | int, ...]
"""Keys and indices that lead from the root of a document to one of its values."""


class Fault(NamedTuple):
    """One fault: the path of the value, and what is wrong with it or was expected."""

    path: Path
    message: str


class Unreadable(Exception):
    """A text is no document at all.

    Attributes:
        fault: What was found, with its line.
    """

    def __init__(self, message: str, line: int, path: Path = ()) -> None:
        self.fault = to_field_error(Fault(path, message), {path: line})
        super().__init__(self.fault.message)


class Empty(Unreadable):
    """A text holds no document, but nothing that is wrong either."""


@dataclass(frozen=True, slots=True)
class Document:
    """What was read.

    Attributes:
        content: The content, as JSON.
        faults: What did not hinder reading on: names that stand twice, anchors, aliases, tags, and
            numbers that could not be kept as they are written.
    """

    content: JSON
    faults: list[Fault]


def read(text: str | bytes, keeps_text: Callable[[Path], bool] = lambda _: False) -> Document:
    """Read YAML or JSON.

    Args:
        text: The text; bytes are UTF-8.
        keeps_text: Whether what stands at a path is text. A number or a boolean there is taken as
            its author wrote it (``3.10``, ``1e3``, ``True``), whatever it would be as a value.

    Raises:
        Unreadable: It is not UTF-8, not YAML, empty, more than one document, or nested more than
            :data:`MAX_DEPTH` levels deep.
    """
    decoded = _decode(text)
    try:
        # The parsers of YAML do not know JSON's surrogate pairs. What JSON would drop or allow
        # against its own rules goes on to the YAML reader, which reports the place.
        content = json.loads(
            decoded,
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_int=_Written,
            parse_float=_Written,
        )
        faults: list[Fault] = []
        return Document(_settle(content, (), keeps_text, faults), faults)
    except (ValueError, RecursionError):
        reader = _YamlReader(decoded, keeps_text)
        return Document(reader.read(), reader.faults)


def read_json(text: str) -> JSON:
    """Read JSON, strictly: no name stands twice, and every number is the one that is written.

    Raises:
        ValueError: It is none.
        RecursionError: It is nested too deeply.
    """
    return json.loads(
        text,
        object_pairs_hook=_unique,
        parse_constant=_refuse,
        parse_int=read_number,
        parse_float=read_number,
    )


def lines(text: str | bytes) -> Mapping[Path, int]:
    """Return the line of every value of a text, counted from 1; nothing if it is not YAML."""
    try:
        reader = _YamlReader(_decode(text))
        reader.read()
    except Unreadable:
        return {}
    return reader.lines


def to_field_error(fault: Fault, lines: Mapping[Path, int] | None = None) -> FieldError:
    """Put a fault into words for a caller.

    Args:
        fault: What was found.
        lines: Line of each path, where there is a text. What is missing has no line of its own;
            then the line of what should hold it is told.
    """
    path = fault.path
    while lines and path and path not in lines:
        path = path[:-1]
    line = lines.get(path) if lines else None
    message = f"{fault.message} (line {line})" if line else fault.message
    return FieldError(path_text(fault.path), message)


def line_of(message: str) -> int | None:
    """Return the line that a message of :func:`to_field_error` tells; None where it tells none."""
    told = _TOLD_LINE.search(message)
    return int(told[1]) if told else None


def path_text(path: Path) -> str:
    """Write a path as people do: ``steps[2].needs[0]``."""
    text = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part[:_MAX_NAME_LENGTH]}" for part in path
    )
    return text.removeprefix(".")


def strings(value: JSON, path: Path, but: Collection[str] = ()) -> Iterator[tuple[Path, str]]:
    """Return the texts within a value, with their paths.

    Args:
        value: The value.
        path: Where it stands.
        but: Names whose values are left out, wherever they stand.
    """
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, (*path, index), but)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if name not in but:
                yield from strings(item, (*path, name), but)


def read_number(text: str) -> int | float:
    """Read a decimal number as the one that is written, and as no other.

    Args:
        text: A number as in JSON; leading zeros, a plus sign, and no digit on one side of the point
            will do. One with a point or an exponent is a float.

    Raises:
        ValueError: No integer of 64 bits, and no binary64 float of IEEE 754, is written like this;
            or it is no number. The text says which.
    """
    if not _FRACTION.search(text):
        if len(text) > _MAX_DIGITS or not -(2**63) <= int(text) < 2**63:
            raise ValueError(TOO_LONG)
        return int(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(NOT_FINITE)
    # The fewest digits that give it back, or the 17 that programs in C print to be sure of it.
    if repr(value) != text and not any(_same(own, text) for own in (repr(value), f"{value:.17g}")):
        raise ValueError(INEXACT)
    return value


def write_number(value: float) -> str:
    """Write a number with the fewest digits that give it back, and never with an exponent.

    Many commands do not read ``1e-05``.
    """
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text else text


def _same(number: str, other: str) -> bool:
    try:
        return Decimal(number) == Decimal(other)
    except ArithmeticError:  # an exponent of more digits than anything has
        return False


_FRACTION: Final = re.compile(r"[.eE]")
_MAX_DIGITS: Final = 100

NOT_FINITE: Final = "is not a finite number"
INEXACT: Final = "is a number of more digits than a 64-bit float holds"
TOO_DEEP: Final = f"is nested more than {MAX_DEPTH} levels deep"
HALF_PAIR: Final = "holds half of a surrogate pair, which is no character"
TOO_LONG: Final = "is an integer of more than 64 bits"


def _decode(text: str | bytes) -> str:
    try:
        data = text.encode() if isinstance(text, str) else text
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise Unreadable("is not UTF-8", exc.object.count(b"\n", 0, exc.start) + 1) from exc
    except UnicodeEncodeError as exc:
        raise Unreadable(HALF_PAIR, exc.object.count("\n", 0, exc.start) + 1) from exc


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a name stands twice")
    return mapping


def _refuse(constant: str) -> JSON:
    raise ValueError(f"{constant} is not JSON")


class _Written(str):
    """A number of JSON as it is written."""

    __slots__ = ()


def _settle(
    value: JSON, path: Path, keeps_text: Callable[[Path], bool], faults: list[Fault]
) -> JSON:
    """Make numbers, or texts, of what JSON has written."""
    if isinstance(value, dict):
        return {k: _settle(item, (*path, k), keeps_text, faults) for k, item in value.items()}
    if isinstance(value, list):
        return [_settle(item, (*path, i), keeps_text, faults) for i, item in enumerate(value)]
    if isinstance(value, _Written):
        return str(value) if keeps_text(path) else _number(value, path, faults)
    if isinstance(value, bool) and keeps_text(path):
        return str(value).lower()
    return value


def _number(text: str, path: Path, faults: list[Fault]) -> int | float:
    try:
        return read_number(text)
    except ValueError as exc:
        faults.append(Fault(path, str(exc)))
        return 0


class _YamlReader:
    """Builds a document from the events of a YAML parser, which is all that it takes of YAML.

    Attributes:
        faults: What was found, besides what ends the reading.
        lines: Line of each value, or of its name where it has one; counted from 1.
    """

    def __init__(self, text: str, keeps_text: Callable[[Path], bool] = lambda _: False) -> None:
        self._text = text
        self._keeps_text = keeps_text
        self._events: Iterator[Any] = yaml.parse(text, Loader=_PARSER)
        self.faults: list[Fault] = []
        self.lines: dict[Path, int] = {}

    def read(self) -> JSON:
        """Read the whole text; to be called once."""
        try:
            return self._document()
        except yaml.MarkedYAMLError as exc:
            line = exc.problem_mark.line + 1 if exc.problem_mark else 1
            last = self._text.count("\n") + 1
            message = f"is not YAML: {exc.problem or exc.context}"
            raise Unreadable(message, min(line, last)) from exc
        except yaml.reader.ReaderError as exc:
            line = self._text.count("\n", 0, self._text.find(chr(exc.character))) + 1
            raise Unreadable("holds a control character", line) from exc

    def _document(self) -> JSON:
        next(self._events)  # the stream begins
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise Empty("is empty", 1)
        value = self._value(next(self._events), ())
        next(self._events)  # the document ends
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise Unreadable("holds more than one document", _line(following))
        return value

    def _value(self, event: Any, path: Path) -> JSON:
        self.lines.setdefault(path, _line(event))
        if len(path) > MAX_DEPTH:
            raise Unreadable(TOO_DEEP, _line(event), path)
        self._check_plain(event, path)
        if isinstance(event, yaml.AliasEvent):
            return None
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return [self._value(item, (*path, i)) for i, item in enumerate(self._items())]
        return self._mapping(path)

    def _items(self) -> Iterator[Any]:
        """Return the events that begin an item of the collection, until it ends."""
        for event in self._events:
            if isinstance(event, yaml.CollectionEndEvent):
                return
            yield event

    def _mapping(self, path: Path) -> dict[str, JSON]:
        mapping: dict[str, JSON] = {}
        for event in self._items():
            if not isinstance(event, yaml.ScalarEvent):
                raise Unreadable("must have plain names", _line(event), path)
            place = (*path, event.value)
            if event.value in mapping:
                first = self.lines[place]
                self.faults.append(Fault(place, f"stands twice, first in line {first}"))
            self.lines[place] = _line(event)
            self._check_plain(event, place)
            mapping[event.value] = self._value(next(self._events), place)
        return mapping

    def _check_plain(self, event: Any, path: Path) -> None:
        if event.anchor:
            self.faults.append(Fault(path, "must not use anchors and aliases"))
        if getattr(event, "tag", None):
            self.faults.append(Fault(path, "must not have a tag"))

    def _scalar(self, event: Any, path: Path) -> JSON:
        plain, _ = event.implicit
        if plain and event.value in {"", "~"}:
            return None
        match = SCALAR.fullmatch(event.value) if plain else None
        word = _WORDS.get(event.value.lower()) if match and not match["number"] else None
        if match is None or (self._keeps_text(path) and (word is not None or match["number"])):
            return event.value
        return _number(event.value, path, self.faults) if match["number"] else word


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1

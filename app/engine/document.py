"""Reading and writing the documents that definitions are: YAML or JSON.

A document holds what JSON can say. YAML adds its syntax and comments, and no more: no anchors and
aliases (nor their bombs), no tags, no merge keys. A plain scalar is null, a boolean or a number if
it is one in JSON (``True`` and ``NULL`` are accepted), and a string otherwise; so ``no``, ``on``,
``2024-01-31``, ``22:22`` and ``010`` are strings, as most of them are in YAML 1.2.

Sources: https://yaml.org/spec/1.2.2/#102-json-schema and RFC 8259.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from app.domain import JSON
from app.engine.faults import Fault, Path, invalid_definition
from app.errors import InvalidDefinition

MAX_DEPTH: Final = 64
"""Deepest nesting of a document; what people write stays below 10."""

_SCALAR: Final = re.compile(
    r"null|Null|NULL|true|True|TRUE|false|False|FALSE"
    r"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
)
# libyaml's parser is 15 times as fast, but PyYAML can be built without it.
_PARSER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def read(text: str | bytes) -> tuple[JSON, list[Fault]]:
    """Read YAML or JSON.

    Returns:
        The content as JSON, and the faults that do not hinder reading on: names that stand twice,
        anchors, aliases and tags.

    Raises:
        InvalidDefinition: It is not UTF-8, not YAML, empty, more than one document, or nested more
            than :data:`MAX_DEPTH` levels deep.
    """
    decoded = _decode(text)
    try:
        # The parsers of YAML do not know JSON's surrogate pairs. What JSON would drop or allow
        # against its own rules goes on to the YAML reader, which reports the place.
        return json.loads(decoded, object_pairs_hook=_unique, parse_constant=_refuse), []
    except (ValueError, RecursionError):
        reader = _YamlReader(decoded)
        return reader.read(), reader.faults


def lines(text: str | bytes) -> Mapping[Path, int]:
    """Tell the line of every value of a text, counted from 1; nothing if it is not YAML."""
    try:
        reader = _YamlReader(_decode(text))
        reader.read()
    except InvalidDefinition:
        return {}
    return reader.lines


def write(document: JSON) -> str:
    """Write YAML for people, which :func:`read` takes for the same: block style throughout."""
    return yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_NEVER_FOLD
    )


def not_json(value: JSON, path: Path = ()) -> Iterator[Fault]:
    """Find what cannot be stored, handed to a command, or read by other programs.

    That is: NUL, broken Unicode, numbers that are not finite or have more than 64 bits, nesting
    deeper than :data:`MAX_DEPTH`, and objects that JSON does not know.
    """
    if len(path) > MAX_DEPTH:
        yield Fault(path, _TOO_DEEP)
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


_TOO_DEEP: Final = f"is nested more than {MAX_DEPTH} levels deep"
_HALF_PAIR: Final = "holds half of a surrogate pair, which is no character"


def _text_faults(text: str) -> Iterator[str]:
    if "\0" in text:
        yield "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        yield _HALF_PAIR


def _scalar_faults(value: JSON) -> Iterator[str]:
    if value is None or isinstance(value, bool):
        return
    if not isinstance(value, int | float):
        yield f"is a {type(value).__name__}, which JSON does not know"
    elif not math.isfinite(value):
        yield "is not a finite number"
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield "is an integer of more than 64 bits"


def _decode(text: str | bytes) -> str:
    try:
        data = text.encode() if isinstance(text, str) else text
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise _unreadable("is not UTF-8", exc.object.count(b"\n", 0, exc.start) + 1) from exc
    except UnicodeEncodeError as exc:
        raise _unreadable(_HALF_PAIR, exc.object.count("\n", 0, exc.start) + 1) from exc


def _unreadable(message: str, line: int, path: Path = ()) -> InvalidDefinition:
    return invalid_definition([Fault(path, message)], {path: line})


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a name stands twice")
    return mapping


def _refuse(constant: str) -> JSON:
    raise ValueError(f"{constant} is not JSON")


class _YamlReader:
    """Builds a document from the events of a YAML parser, which is all that it takes of YAML.

    Attributes:
        faults: What was found, besides what ends the reading.
        lines: Line of each value, or of its name where it has one; counted from 1.
    """

    def __init__(self, text: str) -> None:
        self._text = text
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
            raise _unreadable(message, min(line, last)) from exc
        except yaml.reader.ReaderError as exc:
            line = self._text.count("\n", 0, self._text.find(chr(exc.character))) + 1
            raise _unreadable("holds a control character", line) from exc

    def _document(self) -> JSON:
        next(self._events)  # the stream begins
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise _unreadable("is empty", 1)
        value = self._value(next(self._events), ())
        next(self._events)  # the document ends
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise _unreadable("holds more than one document", _line(following))
        return value

    def _value(self, event: Any, path: Path) -> JSON:
        self.lines.setdefault(path, _line(event))
        if len(path) > MAX_DEPTH:
            raise _unreadable(_TOO_DEEP, _line(event), path)
        self._check_plain(event, path)
        if isinstance(event, yaml.AliasEvent):
            return None
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return [self._value(item, (*path, i)) for i, item in enumerate(self._items())]
        return self._mapping(path)

    def _items(self) -> Iterator[Any]:
        """Give the events that begin an item of the collection, until it ends."""
        for event in self._events:
            if isinstance(event, yaml.CollectionEndEvent):
                return
            yield event

    def _mapping(self, path: Path) -> dict[str, JSON]:
        mapping: dict[str, JSON] = {}
        for event in self._items():
            if not isinstance(event, yaml.ScalarEvent):
                raise _unreadable("must have plain names", _line(event), path)
            place = (*path, event.value)
            self.lines[place] = _line(event)
            self._check_plain(event, place)
            if event.value in mapping:
                self.faults.append(Fault(place, "stands twice"))
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
        if not plain or not _SCALAR.fullmatch(event.value):
            return event.value
        try:
            return json.loads(event.value.lower())
        except ValueError:  # Python reads integers of at most 4,300 digits
            self.faults.append(Fault(path, "is an integer of more than 64 bits"))
            return 0


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


_YAML_1_1_BREAK: Final = re.compile("[\x85\u2028\u2029]")  # PyYAML would write them as breaks
_NEVER_FOLD: Final = 2**31 - 1


class _Dumper(yaml.SafeDumper):
    """Writes what this module, and other readers of YAML, take for the same."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)

    def analyze_scalar(self, scalar: str) -> Any:
        """Let tabs stand in texts of several lines, as scripts have them."""
        # In front of the first line, libyaml would take one for a fault of the indentation.
        tabs_stand = "\n" in scalar and not scalar[0].isspace()
        analysis = super().analyze_scalar(scalar.replace("\t", " ") if tabs_stand else scalar)
        analysis.scalar = scalar
        return analysis


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    if _YAML_1_1_BREAK.search(text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)
# SafeDumper knows the numbers of YAML 1.1 and would leave the string "1e5" without its quotes.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _SCALAR, list("-0123456789"))

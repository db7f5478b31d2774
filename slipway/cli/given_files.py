"""Files that are given on the command line: their text, and what YAML or JSON in them says.

A file can be anything: a folder, a pipe, a picture, a terabyte. Each is one sentence.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from slipway.cli.codes import Failure

MOST_BYTES: Final = 8 << 20
"""Of a file that is sent; the service takes less, and says how much."""
STANDARD_INPUT: Final = "-"
_DEEPEST: Final = 64
_MOST_VALUES: Final = 1_000_000
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_WORDS: Final = {
    word: value
    for text, value in (("null", None), ("true", True), ("false", False))
    for word in (text, text.title(), text.upper())
}
"""Plain words that are no texts: YAML 1.2, 10.3.2 (core schema)."""


class Plain(str):
    """A text that stands without quotes: it can be a number or a word, if such is wanted."""

    __slots__ = ()


def read_bytes(name: str, *, most: int = MOST_BYTES) -> bytes:
    """Read a file.

    Args:
        name: Its path; ``-`` is standard input.
        most: Bytes that it may have.

    Raises:
        Failure: It cannot be read, is too large, or is no file.
    """
    try:
        if name == STANDARD_INPUT:
            if sys.stdin is None:
                raise OSError(0, "it is closed")
            content = sys.stdin.buffer.read(most + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(most + 1)
    except ValueError:  # a path with NUL
        raise Failure(f"{name!r} is no name of a file.") from None
    except OSError as exc:
        raise Failure(f"{name} cannot be read: {exc.strerror}.") from None
    if len(content) > most:
        raise Failure(
            f"{name} is too large to be sent: more than {most >> 20} MiB.",
            hint="Leave it where the work is done, and give its path.",
        )
    return content


def read_text(name: str, what: str = "") -> str:
    """Read a file as text.

    Args:
        name: Its path; ``-`` is standard input.
        what: What stands before its name in messages.

    Raises:
        Failure: It cannot be read, or is no text in UTF-8.
    """
    try:
        text = read_bytes(name).decode("utf-8")
    except UnicodeDecodeError:
        raise Failure(f"{what}{name} is no text in UTF-8.") from None
    except Failure as exc:
        raise Failure(what + exc.message, hint=exc.hint) from None
    if "\0" in text:
        raise Failure(f"{what}{name} is no text: it has NUL characters.")
    return text


def read_document(name: str) -> Any:
    """Read a file with YAML or JSON.

    Returns:
        Its content, in which all that has no quotes is :class:`Plain`; an empty one, or null, is
        None.

    Raises:
        Failure: It cannot be read, or is neither.
    """
    return parse_document(read_text(name), name)


def parse_document(text: str, name: str) -> Any:
    """Return what YAML or JSON says; see :func:`read_document`.

    Args:
        text: The text.
        name: Of its file, for messages.
    """
    text = text.removeprefix("\ufeff")
    try:
        # YAML takes most of JSON only: no tabs between values, for one.
        return _as_written(
            json.loads(text, parse_int=Plain, parse_float=Plain, parse_constant=Plain)
        )
    except RecursionError:
        raise Failure(f"{name} is nested too deeply.") from None
    except ValueError:
        return _read_yaml(text, name)


def _as_written(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_written(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_written(each) for each in value]
    return Plain(str(value).lower()) if isinstance(value, bool) else value


def _read_yaml(text: str, name: str) -> Any:
    import yaml  # noqa: PLC0415  (few files are no JSON, and few commands have any)

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Reader(yaml, yaml.parse(text, Loader=loader)).document()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = f" (line {min(mark.line, text.count(chr(10))) + 1})" if mark else ""
        raise Failure(f"{name} is no YAML{place}: {exc.problem or exc.context}.") from None
    except (yaml.YAMLError, UnicodeError):
        raise Failure(f"{name} is no YAML: it has a character that no text has.") from None
    except _Strange as exc:
        raise Failure(f"{name} has {exc}.") from None


class _Strange(Exception):
    """Something that no document of inputs needs; the text says what."""


class _Reader:
    """Makes values of the events of a YAML parser: no tags, no aliases, nothing twice."""

    def __init__(self, yaml: Any, events: Iterator[Any]) -> None:
        self._yaml, self._events = yaml, events
        self._count = 0

    def document(self) -> Any:
        next(self._events)  # the stream begins
        if isinstance(next(self._events), self._yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), 0)
        next(self._events)  # the document ends
        if not isinstance(next(self._events), self._yaml.StreamEndEvent):
            raise _Strange("more than one document")
        return value

    def _value(self, event: Any, depth: int) -> Any:
        self._count += 1
        if depth > _DEEPEST or self._count > _MOST_VALUES:
            raise _Strange("more within each other than inputs can have")
        if isinstance(event, self._yaml.AliasEvent) or event.anchor:
            raise _Strange(f"an anchor or alias in line {event.start_mark.line + 1}; write it out")
        if isinstance(event, self._yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, self._yaml.SequenceStartEvent):
            return [self._value(each, depth + 1) for each in self._until_end()]
        mapping: dict[str, Any] = {}
        for name in self._until_end():
            key = self._value(name, depth + 1)
            if not isinstance(key, str) and key is not None:
                raise _Strange(f"a name that is no text in line {name.start_mark.line + 1}")
            mapping[str(key or "")] = self._value(next(self._events), depth + 1)
        return mapping

    def _until_end(self) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, self._yaml.CollectionEndEvent):
                return
            yield event


def _scalar(event: Any) -> Any:
    plain = event.implicit[0]
    if plain and event.value in ("", "~"):
        return None
    return Plain(event.value) if plain else event.value


def settled(value: Any) -> Any:
    """Return a value in which plain texts are the numbers and words that they write."""
    if isinstance(value, dict):
        return {name: settled(each) for name, each in value.items()}
    if isinstance(value, list):
        return [settled(each) for each in value]
    if not isinstance(value, Plain):
        return value
    if value in _WORDS:
        return _WORDS[value]
    if _NUMBER.fullmatch(value) and len(value) < 400:
        number = float(value) if re.search("[.eE]", value) else int(value)
        if number not in (float("inf"), float("-inf")):
            return number
    return str(value)

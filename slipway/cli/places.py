"""Where the faults of a definition are in its text: line, column, and what stands there.

The service names a fault by the path of what is wrong, such as ``steps[2].needs[0]``. The text is
read here once more for the places of all paths, so it does not matter who has checked it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

_DEEPEST: Final = 100
_MOST_NAME: Final = 100
"""Characters of one name that the service has in a path."""
_LINE: Final = re.compile(r" \(line (\d+)\)$")
_QUOTED: Final = re.compile(r"'([^']+)'")
_STEP: Final = re.compile(r"steps\[\d+\]")
_STEP_ID: Final = re.compile(r"steps\[\d+\]\.id")
_INPUT: Final = re.compile(r"inputs\.[^.\[]+")
_LISTED: Final = re.compile(r"; known are: (.+)$")
_ABSENT: Final = re.compile(r"there is no (step|input) '([^']+)'$")
_MOST_KNOWN: Final = 1000
"""Names that a wrong one is compared with."""
_ABOUT_NAMES: Final = ("is not known", "stands twice", "has the same environment", "lies below")
"""How messages begin that are about a name, and not about what it stands for."""


class Place(NamedTuple):
    """A part of a text.

    Attributes:
        line: From 0.
        column: From 0.
        end: Column behind its end, if that is in the same line.
    """

    line: int
    column: int
    end: int | None


class _Found(NamedTuple):
    """Where a value stands, and its name if it has one; and its text if it is one."""

    name: Place | None
    value: Place
    text: str | None


class Text:
    """The text of a definition, in which faults are looked up."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines() or [""]
        self._found, self._broken = _places(text)

    def locate(self, path: str, message: str) -> tuple[Place | None, str]:
        """Return where a fault is, and the message without the line.

        Args:
            path: Such as ``steps[2].needs[0]``; empty for the whole.
            message: What is wrong; it may end with the line.
        """
        match = _LINE.search(message)
        line = int(match[1]) - 1 if match else None
        message = message[: match.start()] if match else message
        if not path and self._broken is not None:
            return self._broken, message
        place = self._place(path, line, about_name=message.startswith(_ABOUT_NAMES))
        return self._narrowed(place, message), message

    def named(self, path: str) -> str:
        """Return a path for people: the name of a step in place of its number."""
        match = _STEP.match(path)
        step = self._found.get(f"{match[0]}.id") if match else None
        if match is None or step is None or not step.text:
            return path
        rest = path[match.end() :].removeprefix(".")
        return f"step {step.text}: {rest}" if rest else f"step {step.text}"

    def text_at(self, path: str) -> str:
        """Return the text that stands at a path; empty where there is none."""
        found = self._found.get(path)
        return "" if found is None else found.text or ""

    def count_of_steps(self) -> int:
        """Return how many steps there are, each with an id."""
        return sum(_STEP_ID.fullmatch(path) is not None for path in self._found)

    def step_line(self, name: str) -> int | None:
        """Return the line of a step, from 1; None where there is none of this name."""
        for path, found in self._found.items():
            if found.text == name and _STEP_ID.fullmatch(path):
                return found.value.line + 1
        return None

    def suggested(self, path: str, message: str) -> str:
        """Return a message that ends with what was probably meant, where that is known."""
        listed, absent = _LISTED.search(message), _ABSENT.search(message)
        if listed is not None:
            word, known = path.rpartition(".")[2], listed[1].split(", ")
            start = message[: listed.start()]
        elif absent is not None:
            word, known, start = absent[2], self._names(absent[1]), message
        else:
            return message
        near = get_close_matches(word[:_MOST_NAME], known[:_MOST_KNOWN], n=1)
        return f"{start}; did you mean {near[0]}?" if near else message

    def _names(self, kind: str) -> list[str]:
        """Return the names of all steps, or of all inputs."""
        if kind == "step":
            return [
                found.text or "" for path, found in self._found.items() if _STEP_ID.fullmatch(path)
            ]
        return [path.removeprefix("inputs.") for path in self._found if _INPUT.fullmatch(path)]

    def _place(self, path: str, line: int | None, *, about_name: bool) -> Place | None:
        found = self._nearest(path)
        if found is None:
            return None if line is None else self._whole_line(line)
        # What has several lines is shown by its name, as is what a name itself is about.
        is_value = found.text is not None and found.value.end is not None
        is_value = is_value and not about_name and path in self._found
        place = found.value if is_value or found.name is None else found.name
        if line is None or place.line == line:
            return place
        if found.name is not None and found.name.line == line:
            return found.name
        return self._whole_line(line)

    def excerpt(self, place: Place) -> list[str]:
        """Return the line of a place, and a line with carets below it."""
        if place.line >= len(self._lines):
            return []
        shown = self._lines[place.line].rstrip()
        number = f"{place.line + 1:>4} | "
        # A tab below a tab, so that the carets stand right whatever the terminal makes of one.
        below = "".join(
            "\t" if each == "\t" else " " * _width(each) for each in shown[: place.column]
        )
        end = len(shown) if place.end is None else min(place.end, len(shown))
        length = max(1, sum(map(_width, shown[place.column : end])))
        return [number + shown, " " * (len(number) - 2) + "| " + below + "^" * length]

    def _nearest(self, path: str) -> _Found | None:
        """Return what a path leads to; or, where that is missing, what should hold it."""
        while path and path not in self._found:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._found.get(path)

    def _whole_line(self, line: int) -> Place | None:
        if line >= len(self._lines):
            return None
        text = self._lines[line]
        return Place(line, len(text) - len(text.lstrip()), len(text.rstrip()))

    def _narrowed(self, place: Place | None, message: str) -> Place | None:
        """Return the word in the line that the message quotes, if it is about one."""
        if place is None or place.line >= len(self._lines):
            return place
        line = self._lines[place.line]
        for word in _QUOTED.findall(message):
            column = line.find(word, place.column, place.end)
            if column >= 0:
                return Place(place.line, column, column + len(word))
        return place


def _width(character: str) -> int:
    from slipway.cli.output import cell_width  # noqa: PLC0415  (for excerpts only)

    return cell_width(character)


def _places(text: str) -> tuple[Mapping[str, _Found], Place | None]:
    """Return the places of all paths, and where the text stops being YAML."""
    import yaml  # noqa: PLC0415  (for faults only)

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, _Found] = {}
    try:
        for path, place in _Walk(yaml, yaml.parse(text, Loader=loader)).walk():
            found.setdefault(path, place)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        return found, _broken_at(mark, text) if mark else None
    except (yaml.YAMLError, UnicodeError, StopIteration, _TooDeep):
        return found, None
    return found, None


def _broken_at(mark: Any, text: str) -> Place:
    """Return where a parser gave up; the end of a text is behind its last line, which has words."""
    lines = text.rstrip().splitlines() or [""]
    if mark.line < len(lines):
        return Place(mark.line, mark.column, mark.column + 1)
    return Place(len(lines) - 1, len(lines[-1]), len(lines[-1]) + 1)


class _TooDeep(Exception):
    """What is nested so deeply is no definition."""


class _Walk:
    """Goes through the events of a parser, which tell places."""

    def __init__(self, yaml: Any, events: Iterator[Any]) -> None:
        self._yaml, self._events = yaml, events

    def walk(self) -> Iterator[tuple[str, _Found]]:
        next(self._events)  # the stream begins
        if not isinstance(next(self._events), self._yaml.StreamEndEvent):
            yield from self._value(next(self._events), "", None, 0)

    def _value(
        self, event: Any, path: str, name: Place | None, depth: int
    ) -> Iterator[tuple[str, _Found]]:
        if depth > _DEEPEST:
            raise _TooDeep
        text = event.value if isinstance(event, self._yaml.ScalarEvent) else None
        yield path, _Found(name, _place_of(event), text)
        if isinstance(event, self._yaml.SequenceStartEvent):
            for index, item in enumerate(self._until_end()):
                yield from self._value(item, f"{path}[{index}]", None, depth + 1)
        elif isinstance(event, self._yaml.MappingStartEvent):
            for key in self._until_end():
                if not isinstance(key, self._yaml.ScalarEvent):
                    raise _TooDeep
                below = f"{path}.{key.value[:_MOST_NAME]}".removeprefix(".")
                yield from self._value(next(self._events), below, _place_of(key), depth + 1)

    def _until_end(self) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, self._yaml.CollectionEndEvent):
                return
            yield event


def _place_of(event: Any) -> Place:
    start, end = event.start_mark, event.end_mark
    return Place(start.line, start.column, end.column if end.line == start.line else None)

"""Definitions in files: reading them, and telling what is wrong with them, and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from slipway.cli.given_files import read_text
from slipway.cli.output import clean
from slipway.cli.places import Text


class Definition(NamedTuple):
    """A definition.

    Attributes:
        file: Its name, for messages.
        text: The text, of which nothing is known yet.
    """

    file: str
    text: str

    @property
    def media_type(self) -> str:
        """What it is sent as: JSON where it looks like it, which YAML may be as well."""
        return "application/json" if self.file.endswith(".json") else "application/yaml"

    @property
    def id(self) -> str:
        """The id that the definition gives itself; empty where it gives none."""
        return Text(self.text).text_at("id")

    @property
    def steps(self) -> int:
        """How many steps it has."""
        return Text(self.text).count_of_steps()


class Finding(NamedTuple):
    """A fault, and where it is; line and column are counted from 1.

    Attributes:
        path: Of what is wrong, such as ``steps[2].needs[0]``.
        about: The same for people.
        excerpt: The line with carets below it; empty where there is none.
    """

    path: str
    about: str
    message: str
    line: int | None
    column: int | None
    excerpt: Sequence[str]

    def document(self) -> dict[str, Any]:
        """Return what JSON has of it."""
        return {
            "path": self.path, "message": self.message, "line": self.line, "column": self.column,
        }  # fmt: skip


def read_definition(file: str) -> Definition:
    """Read a definition.

    Raises:
        Failure: The file cannot be read, or is no text.
    """
    return Definition("standard input" if file == "-" else file, read_text(file))


def findings(definition: Definition, faults: Sequence[tuple[str, str]]) -> list[Finding]:
    """Find where faults are.

    Args:
        definition: What has the faults.
        faults: Path and message of each.
    """
    if not faults:
        return []  # the text need not be read once more
    text = Text(definition.text)
    found = []
    for path, told in faults:
        place, message = text.locate(path, told)
        line, column = (place.line + 1, place.column + 1) if place else (None, None)
        excerpt = text.excerpt(place) if place else ()
        message = text.suggested(path, message)
        found.append(Finding(path, text.named(path), message, line, column, excerpt))
    return sorted(found, key=lambda each: (each.line or 0, each.column or 0))


def told(definition: Definition, found: Iterable[Finding]) -> list[str]:
    """Return the lines that tell of faults, as compilers do."""
    lines = []
    for each in found:
        place = "".join(f":{number}" for number in (each.line, each.column) if number)
        about = f"{clean(each.about)}: " if each.about else ""
        lines.append(f"{clean(definition.file)}{place}: {about}{clean(each.message)}")
        lines += map(clean, each.excerpt)
    return lines

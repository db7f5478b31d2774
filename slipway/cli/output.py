"""Standard output: tables for people, and JSON, YAML or names for programs.

Tables are made by hand: the libraries for it take longer to import than the answer takes to come.
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final, Generic, NamedTuple, TypeVar

from slipway.cli.codes import Failure
from slipway.cli.terminal import is_coloured, terminal_width

T = TypeVar("T")

_GAP: Final = "  "
_SHORTEST: Final = 8
"""A cell is not cut below this."""
_MOST_SHOWN: Final = 40
"""Characters of a wrong value that are shown."""
_SGR: Final = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34",
    "magenta": "35", "cyan": "36", "grey": "90",
}  # fmt: skip
"""Codes of styles (ECMA-48, 8.3.117)."""
STATUS_STYLES: Final = {
    "SUCCESS": "green", "FAILED": "red", "RUNNING": "cyan", "CANCELLED": "yellow",
    "CANCELLING": "yellow", "PAUSED": "yellow", "PENDING": "grey", "UNKNOWN": "magenta",
}  # fmt: skip
_KEPT: Final = re.compile(r"(\x1b\[[0-9;]*m|[\n\t])")
"""What stays of a text for people beside what can be printed: styles, lines and tabs."""
_RAW_IN_JSON: Final = re.compile("[\x7f-\x9f]")
"""Control characters that JSON may have as they are (RFC 8259, 7)."""
_line: Final = json.JSONEncoder(ensure_ascii=False, default=str).encode
_JOINERS: Final = "\u200c\u200d"
_FORMAT_KINDS: Final = ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp")


class Column(NamedTuple, Generic[T]):
    """A column of a table.

    Attributes:
        title: Its head.
        cell: Returns the text of one item.
        leaves: When the terminal is too narrow, columns leave in the order of this number, the
            highest first; those with 0 never do.
        right: Whether it is flush right, as numbers are.
        wide: Whether only ``-o wide`` shows it.
        shrinks: Whether its cells may be cut on a terminal.
        style: Returns the style of a cell, by its text; an empty one for none.
    """

    title: str
    cell: Callable[[T], str]
    leaves: int = 0
    right: bool = False
    wide: bool = False
    shrinks: bool = False
    style: Callable[[str], str] | None = None


class Output:
    """Writes to standard output in one format.

    Attributes:
        format: ``table``, ``wide``, ``name``, ``json`` or ``yaml``.
    """

    def __init__(self, format_: str | None = None, query: str | None = None) -> None:
        """See the class.

        Raises:
            Failure: The query is no JMESPath.
        """
        self.format = format_ or "table"
        self._query: Any = None
        if query is not None:
            self._query = _compiled(query)
            if self.format != "yaml":
                self.format = "json"

    @property
    def for_programs(self) -> bool:
        """Whether JSON or YAML was asked for, or a part of it."""
        return self.format in ("json", "yaml")

    @cached_property
    def colour(self) -> bool:
        """Whether standard output gets colours."""
        return is_coloured(sys.stdout, os.environ)

    @cached_property
    def width(self) -> int | None:
        """Columns of the terminal; None where standard output is none, and nothing is cut."""
        return terminal_width(sys.stdout)

    @cached_property
    def unicode(self) -> bool:
        """Whether standard output takes more than ASCII."""
        return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")

    def write(self, text: str) -> None:
        """Write a text for people, with a newline behind it; it steers no terminal."""
        sys.stdout.write(f"{harmless(text)}\n")

    def write_exactly(self, text: str) -> None:
        """Write a text for programs as it is, with a newline behind it.

        On a terminal it is for people, after all.
        """
        if self.width is None:
            sys.stdout.write(f"{text}\n")
        else:
            self.write(text)

    def styled(self, text: str, *styles: str) -> str:
        """Return a text with colours, where there are any."""
        return styled(text, *styles) if self.colour else text

    def records(
        self,
        items: Sequence[T],
        columns: Sequence[Column[T]],
        *,
        name: Callable[[T], str],
        document: Callable[[T], Any] = lambda item: item,
        empty: str = "",
    ) -> None:
        """Write a list.

        Args:
            items: What is listed.
            columns: Of the table.
            name: Returns what ``-o name`` prints of an item: that by which commands take it.
            document: Returns what JSON has of an item.
            empty: What people read, on standard error, where there is nothing.
        """
        if self.for_programs:
            self.value([document(item) for item in items])
        elif self.format == "name":
            for item in items:
                self.write(clean(name(item)))
        elif items:
            for line in self.table_lines(items, columns):
                self.write(line)
        elif empty:
            sys.stderr.write(f"{empty}\n")

    def record(self, document: Any, *, name: str, text: Callable[[], str]) -> None:
        """Write one thing.

        Args:
            document: What JSON has of it.
            name: What ``-o name`` prints of it.
            text: Returns what people read of it.
        """
        if self.for_programs:
            self.value(document)
        else:
            self.write(clean(name) if self.format == "name" else text())

    def value(self, document: Any) -> None:
        """Write JSON or YAML, or the part of it that the query asks for.

        Raises:
            Failure: The query does not fit what there is.
        """
        # What is no JSON by itself, such as a time, is a text; that is what queries work on, too.
        text = json.dumps(document, ensure_ascii=False, indent=2, default=str)
        if self._query is not None:
            document = _searched(self._query, json.loads(text))
            if isinstance(document, str):
                self.write_exactly(document)
                return
            text = json.dumps(document, ensure_ascii=False, indent=2)
        if self.format == "yaml":
            import yaml  # noqa: PLC0415  (few ask for it)

            text = yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True).rstrip()
            self.write_exactly(text)
        else:
            self.write_exactly(_escaped(text))

    def json_line(self, document: Any) -> None:
        """Write one line of JSON Lines, or the part of it that the query asks for."""
        self.write_exactly(self.json_text(document))

    def json_text(self, document: Any) -> str:
        """Return what :meth:`json_line` writes, without its end."""
        if self._query is not None:
            document = _searched(self._query, document)
            if isinstance(document, str):
                return document
        return _escaped(_line(document))

    def table_lines(self, items: Sequence[T], columns: Sequence[Column[T]]) -> list[str]:
        """Return a table as lines, the head first."""
        columns = [column for column in columns if self.format == "wide" or not column.wide]
        rows = [[clean(column.cell(item)) for column in columns] for item in items]
        table = Table(
            [column.title for column in columns], rows,
            leaves=[column.leaves for column in columns],
            right=[column.right for column in columns],
            shrinks=[column.shrinks for column in columns],
        )  # fmt: skip
        styles = [column.style for column in columns] if self.colour else []
        return table.lines(self.width, styles, "…" if self.unicode else "~")


class Table:
    """Cells of text in columns, with two spaces between."""

    def __init__(
        self,
        titles: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        leaves: Sequence[int],
        right: Sequence[bool],
        shrinks: Sequence[bool],
    ) -> None:
        self._rows = [titles, *rows]
        self._leaves = leaves
        self._right = right
        self._shrinks = shrinks
        self._widths = [max(map(cell_width, column)) for column in zip(*self._rows, strict=True)]

    def lines(
        self,
        width: int | None,
        styles: Sequence[Callable[[str], str] | None],
        ellipsis: str,
    ) -> list[str]:
        """Return the lines, the head first.

        Args:
            width: Of the terminal; None for as wide as it takes.
            styles: Of the columns; empty for none at all.
            ellipsis: Ends what was cut; one column wide.
        """
        kept, widths = self._fitted(width)
        lines = []
        for number, row in enumerate(self._rows):
            cells = []
            for index in kept:
                cell = _padded(row[index], widths[index], ellipsis, right=self._right[index])
                style = styles[index] if styles and number else None
                if styles and not number:
                    cell = styled(cell, "bold")
                elif style and (name := style(row[index])):
                    cell = styled(cell, name)
                cells.append(cell)
            lines.append(_GAP.join(cells).rstrip())
        return lines

    def _fitted(self, width: int | None) -> tuple[list[int], list[int]]:
        """Return the columns that stay, and how wide each is."""
        kept, widths = [*range(len(self._widths))], list(self._widths)
        if width is None:
            return kept, widths
        while (excess := _total(widths, kept) - width) > 0:
            shrinking = [i for i in kept if self._shrinks[i] and widths[i] > _SHORTEST]
            leaving = max(kept, key=lambda i: (self._leaves[i], i))
            if shrinking and (not self._leaves[leaving] or _shrunk(widths, shrinking) >= excess):
                widest = max(shrinking, key=lambda i: widths[i])
                widths[widest] -= min(excess, widths[widest] - _SHORTEST)
            elif self._leaves[leaving]:
                kept.remove(leaving)
            else:
                break
        return kept, widths


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[index] for index in kept) + len(_GAP) * (len(kept) - 1)


def _shrunk(widths: Sequence[int], shrinking: Sequence[int]) -> int:
    """Return how much narrower some columns can become."""
    return sum(widths[index] - _SHORTEST for index in shrinking)


def _padded(text: str, width: int, ellipsis: str, *, right: bool) -> str:
    if cell_width(text) > width:
        text = cut(text, width - 1).rstrip() + ellipsis
    space = " " * (width - cell_width(text))
    return space + text if right else text + space


def cell_width(text: str) -> int:
    """Return how many columns of a terminal a text takes (Unicode Standard Annex 11)."""
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Return as much of the beginning of a text as fits into some columns."""
    taken = 0
    for index, character in enumerate(text):
        taken += _character_width(character)
        if taken > width:
            return text[:index]
    return text


def shortened(text: str, width: int, ellipsis: str = "...") -> str:
    """Return a text that is no wider than some columns; what was cut ends with the ellipsis."""
    return text if cell_width(text) <= width else cut(text, width - len(ellipsis)) + ellipsis


def clean(text: str) -> str:
    """Return a text as one line without control characters: names can have any."""
    if text.isprintable():
        return text
    return "".join(map(_harmless, text))


def shown(text: str, most: int = _MOST_SHOWN) -> str:
    """Return a text as a message can have it: on one line, and not too long."""
    line = clean(text[: 4 * most])
    return line if len(line) <= most else cut(line, most) + "..."


def harmless(text: str) -> str:
    """Return a text of some lines, of whose control characters only styles and tabs are left."""
    if text.isprintable():
        return text
    return "".join(
        part if number % 2 else clean(part) for number, part in enumerate(_KEPT.split(text))
    )


def _escaped(text: str) -> str:
    """Return JSON as it is, with each character escaped that could steer a terminal."""
    if text.isascii() and "\x7f" not in text:
        return text
    return _RAW_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _harmless(character: str) -> str:
    if character in "\t\n\r":
        return " "
    if character in _JOINERS:
        return character
    return "\ufffd" if unicodedata.category(character) in _FORMAT_KINDS else character


def styled(text: str, *styles: str) -> str:
    """Return a text in some styles."""
    return f"\x1b[{';'.join(_SGR[style] for style in styles)}m{text}\x1b[0m"


def _compiled(query: str) -> Any:
    import jmespath  # noqa: PLC0415  (few ask for it)

    try:
        return jmespath.compile(query)
    except jmespath.exceptions.JMESPathError as exc:
        raise _wrong_query(query, exc) from None


def _searched(query: Any, document: Any) -> Any:
    import jmespath  # noqa: PLC0415  (few ask for it)

    try:
        return query.search(document)
    except jmespath.exceptions.JMESPathError as exc:
        raise _wrong_query(query.expression, exc) from None


def _wrong_query(query: str, error: Exception) -> Failure:
    reason = str(error).partition("\n")[0].rstrip(":. ")
    return Failure(f"--query '{query}' does not work: {reason}.", hint="See https://jmespath.org")

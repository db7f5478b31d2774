"""Log entries as lines: for people, and as JSON for programs.

A log has whatever its commands wrote, so nothing of it may steer the terminal: of its control
sequences colours stay, where there are any, and all others go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Final

from slipway.cli.output import Output, cell_width, clean, styled
from slipway.cli.times import stamp

if TYPE_CHECKING:
    from slipway.models import LogEntry

_RESET: Final = "\x1b[0m"
_WIDEST_STEP: Final = 20
"""Columns for names of steps; longer ones push what is behind them."""
_SGR: Final = r"(?:\x1b\[|\x9b)[0-9;:]*m"
_SEQUENCES: Final = re.compile(
    # ECMA-48: control sequences (5.4), strings such as titles and clipboards (5.6), and the rest.
    rf"(?P<sgr>{_SGR})|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])"
    r"[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-~]|"
    r"(?P<end>\r+\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])|[\0-\x08\x0e-\x1f\x7f-\x9f]"
)
_BREAKS: Final = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_STYLES: Final = {"ERROR": "red", "WARN": "yellow", "DEBUG": "grey"}


class Times(Enum):
    """How lines tell their times, in the local zone."""

    NONE = "none"
    CLOCK = "clock"
    """To the second, without the day."""
    FULL = "full"
    """To the millisecond, with the level beside."""


class LineFormat:
    """How log entries become lines.

    Args:
        colour: Whether levels, and what commands wrote, have colours.
        names: Of the steps, so that what they say begins in the same column; None to leave the
            names out, as where one step only is read.
        times: Which times are shown.
    """

    def __init__(
        self, *, colour: bool, names: Iterable[str] | None = (), times: Times = Times.NONE
    ) -> None:
        self._colour = colour
        self._time = _TIMES[times]
        self._full = times is Times.FULL
        self._named = names is not None
        widths = [cell_width(clean(name)) for name in names or ()]
        self._width = max([width for width in widths if width <= _WIDEST_STEP], default=0)
        self._prefixes: dict[tuple[str, str], tuple[str, str]] = {}

    def line(self, entry: LogEntry) -> str:
        """Return an entry as a line with its end; what had several lines is indented."""
        level, content = entry.level, entry.content
        key = (entry.task, level)
        prefix, word = self._prefixes.get(key) or self._prefix(*key)
        if not content.isprintable():
            content = self._harmless(content, prefix)
        if word:
            content = self._with_level(level, word, content)
        if self._time is None:
            return f"{prefix}{content}\n"
        return f"{self._time(entry.timestamp)}{prefix}{content}\n"

    def _prefix(self, task: str, level: str) -> tuple[str, str]:
        """Return what stands before all that a step says on a level, and the level's word."""
        step = ""
        if self._named:
            name = clean(task)
            step = name + " " * max(0, self._width - cell_width(name)) + "  "
        word = self._styled(clean(level), level)
        if self._full:
            found = f" {word}{' ' * (5 - len(level))} {step}", ""
        else:
            found = step, "" if level == "INFO" else word
        self._prefixes[task, level] = found
        return found

    def _styled(self, text: str, level: str) -> str:
        style = _STYLES.get(level)
        return styled(text, style) if style and self._colour else text

    def _with_level(self, level: str, word: str, content: str) -> str:
        """Put the word of a level before what does not begin with it itself."""
        if not content.startswith(level):
            return f"{word} {content}"
        return word + content[len(level) :]

    def _harmless(self, content: str, prefix: str) -> str:
        """Return a text that moves nothing on a terminal."""
        kept: Callable[[str], str] = str if self._colour else _nothing
        indent = "\n" + " " * (4 if not self._named else self._width + 2)

        def replaced(found: re.Match[str]) -> str:
            if found["sgr"] is not None:
                return kept(found["sgr"])
            return "" if found["end"] is None else indent

        text = _SEQUENCES.sub(replaced, content.rstrip(_BREAKS))
        return text + _RESET if self._colour and "m" in text and _HAS_SGR.search(text) else text


_HAS_SGR: Final = re.compile(_SGR)


def _nothing(_: str) -> str:
    return ""


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}  "


_TIMES: Final[dict[Times, Callable[[datetime], str] | None]] = {
    Times.NONE: None, Times.CLOCK: _clock, Times.FULL: stamp,
}  # fmt: skip


def json_line_of(out: Output) -> Callable[[LogEntry], str]:
    """Return what makes a line of JSON of an entry."""
    part = out.json_text

    def line(entry: LogEntry) -> str:
        document = {
            "level": entry.level,
            "timestamp": _written(entry.timestamp),
            "content": entry.content,
            "task": entry.task,
            "index": entry.index,
            **entry.extra,
        }
        return f"{part(document)}\n"

    return line


def _written(moment: datetime) -> str:
    """Return a moment as the service writes it (RFC 3339)."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return f"{utc.isoformat(timespec='milliseconds')[:23]}Z"

"""Entries of a log as lines of text, which nothing that an entry says can forge.

The first line of an entry begins with its time, its level and its task; those that follow are
indented. What would move a terminal's cursor is shown as a picture; colours stay.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from app.domain import LEVEL_NAMES, Level, log_timestamp

LEVEL_WORDS: Final = {
    "TRACE": Level.DEBUG,
    "DEBUG": Level.DEBUG,
    "INFO": Level.INFO,
    "NOTICE": Level.INFO,
    "WARN": Level.WARN,
    "WARNING": Level.WARN,
    "ERROR": Level.ERROR,
    "CRITICAL": Level.ERROR,
    "FATAL": Level.ERROR,
}
"""What programs call the levels of what they say."""

_SAYS_MORE = frozenset({"TRACE", "NOTICE", "CRITICAL", "FATAL"})
"""Words that say more than the level, and so are shown beside it."""
_WORD = "|".join(LEVEL_WORDS)
# Sequences that colour the text (ECMA-48, 8.3.117), or control a terminal otherwise, and blanks.
_SEQUENCE = r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]|\x1b\][^\x07\x1b]*+(?:\x07|\x1b\\)"
_UNSEEN = rf"(?:[ \t]|{_SEQUENCE})*+"
# After a bare word: a blank, the end, a colour or punctuation; and not what gives it a value.
_BARE_END = r"(?=[\s\x1b\x9b:|\])>!,;]|$)(?!\s*+:?=(?!=))"
# Bare in capitals; in any case when in brackets or before a colon.
_MARK = re.compile(
    rf"{_UNSEEN}(?:({_WORD}){_BARE_END}"
    rf"|(?i:[\[<]{_UNSEEN}({_WORD}){_UNSEEN}[\]>]|({_WORD})(?:\x1b\[[0-9;]*+m)*+:(?!=)))"
)
_FIRST = frozenset(" \t[<\x1b\x9b") | {
    letter for word in LEVEL_WORDS for letter in (word[0], word[0].lower())
}
_BEHIND = re.compile(rf"({_UNSEEN})[:|]?({_UNSEEN})")
_SEQUENCES = re.compile(_SEQUENCE)

_BREAK = r"\r+\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]"
"""What ends a line for some reader or other: Unicode Standard Annex 14, and ``splitlines``."""
_UNSAFE = re.compile(
    rf"({_BREAK})|[\0-\x08\x0e-\x1a\x1f\x7f-\x84\x86-\x9f]|\x1b(?!\[[0-9;:]*m|\[0?K)"
)
_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_INDENT = "\n    "
_PICTURES = 0x2400
"""The first of Unicode's pictures of the control characters up to 0x1f."""
_LINE_BYTES = len("2022-10-20T12:32:29.774Z INFO  \n")
_LEVELS = {number: f"{name:<5} " for number, name in LEVEL_NAMES.items()}
_KEPT_NAMES = 4096


def log_line(timestamp_ms: int, level: int, task: str, content: str) -> str:
    """Write a log entry as one line of text, or several where it has several, with line ends.

    Such as ``2022-10-20T12:32:29.774Z INFO  split: done``.
    """
    if content[:1] in _FIRST or not content.isprintable():
        content = _shown(level, content)
    return f"{log_timestamp(timestamp_ms)} {_LEVELS[level]}{_source(task)[0]}{content}\n"


def log_line_bytes(level: int, task: str, content: str) -> int:
    """Return how many bytes of UTF-8 :func:`log_line` takes, without writing the line."""
    if content[:1] in _FIRST or not content.isprintable():
        content = _shown(level, content)
    size = len(content) if content.isascii() else len(content.encode())
    return _LINE_BYTES + _source(task)[1] + size


def level_word(text: str) -> str | None:
    """Return the word for a level that a text begins with, in capitals; None if it has none.

    ``ERROR disk full``, ``[error] disk full``, ``error: disk full`` begin with one, in any colour;
    ``error rates`` does not, and ``DEBUG=1`` is a setting.
    """
    mark = _mark(text)
    return mark[mark.lastindex or 0].upper() if mark else None


def _mark(text: str) -> re.Match[str] | None:
    return _MARK.match(text) if text[:1] in _FIRST else None


def _shown(level: int, content: str) -> str:
    """Return what a line says behind its level: all that the level does not say already."""
    mark = _mark(content)
    if mark:
        word = mark[mark.lastindex or 0].upper()
        if LEVEL_WORDS[word] == level and word not in _SAYS_MORE:
            content = _without(mark, content)
    return content if content.isprintable() else _safe(content)


def _without(mark: re.Match[str], content: str) -> str:
    """Take a level word away, and leave the colours that it stands in."""
    behind = _BEHIND.match(content, mark.end())
    end = behind.end() if behind else mark.end()
    if not content[end:].strip():  # it says nothing but its level
        return content
    return "".join(_SEQUENCES.findall(content[:end])) + content[end:]


def _safe(content: str) -> str:
    return _UNSAFE.sub(_picture, content.rstrip(_BREAKS))


def _picture(found: re.Match[str]) -> str:
    if found[1] is not None:
        return _INDENT
    code = ord(found[0])
    return chr(_PICTURES + code) if code <= 0x1F else "\u2421" if code == 0x7F else "\ufffd"


@lru_cache(_KEPT_NAMES)
def _source(task: str) -> tuple[str, int]:
    """Return how a line names its task, and the bytes that this takes."""
    if not task:
        return "", 0
    name = task if task.isprintable() else _safe(task).replace(_INDENT, " ")
    return f"{name}: ", len(name.encode()) + 2

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
# Bare in capitals; in any case when in brackets or before a colon. Then what sets it off.
_MARK = re.compile(
    rf"{_UNSEEN}(?:({_WORD}){_BARE_END}"
    rf"|(?i:[\[<]{_UNSEEN}({_WORD}){_UNSEEN}[\]>]|({_WORD})(?:\x1b\[[0-9;]*+m)*+:(?!=)))"
    rf"{_UNSEEN}[:|]?{_UNSEEN}"
)
# What a mark begins with: most lines need no more than a look at one of these.
_BEFORE = frozenset(" \t[<\x1b\x9b")
_BEGINNINGS = frozenset(
    first + second
    for word in LEVEL_WORDS
    for first in (word[0], word[0].lower())
    for second in (word[1], word[1].lower())
)
_FIRST = _BEFORE | {beginning[0] for beginning in _BEGINNINGS}
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
    source, _ = _source(task)
    return f"{log_timestamp(timestamp_ms)} {_LEVELS[level]}{source}{_shown(level, content)}\n"


def log_line_bytes(level: int, task: str, content: str) -> int:
    """Return how many bytes of UTF-8 :func:`log_line` takes, without writing the line."""
    content = _shown(level, content)
    size = len(content) if content.isascii() else len(content.encode())
    return _LINE_BYTES + _source(task)[1] + size


def safe_text(content: str) -> str:
    """Return a text that forges no line and moves no cursor: what follows a break is indented."""
    return _UNSAFE.sub(_picture, content.rstrip(_BREAKS))


def without_sequences(content: str) -> str:
    """Return a text without what colours it, or controls a terminal otherwise."""
    return _SEQUENCES.sub("", content) if "\x1b" in content or "\x9b" in content else content


def level_word(text: str) -> str | None:
    """Return the word for a level that a text begins with, in capitals; None if it has none.

    ``ERROR disk full``, ``[error] disk full``, ``error: disk full`` begin with one, in any colour;
    ``error rates`` does not, and ``DEBUG=1`` is a setting.
    """
    mark = _mark(text) if text[:1] in _FIRST else None
    return _word(mark) if mark else None


def _mark(text: str) -> re.Match[str] | None:
    """Match what a line says of its level, with what separates it from the rest."""
    if text[:2] in _BEGINNINGS or text[:1] in _BEFORE:
        return _MARK.match(text)
    return None


def _word(mark: re.Match[str]) -> str:
    return mark[mark.lastindex or 0].upper()


def _shown(level: int, content: str) -> str:
    """Return what a line says behind its level: all that the level does not say already."""
    mark = _mark(content) if content[:1] in _FIRST else None
    if mark:
        word = _word(mark)
        if LEVEL_WORDS[word] == level and word not in _SAYS_MORE:
            content = _without(mark, content)
    # Tabs stay as they are, and are what most lines that are not printable have.
    if content.isprintable() or content.replace("\t", " ").isprintable():
        return content
    return safe_text(content)


def _without(mark: re.Match[str], content: str) -> str:
    """Take a level word away, and leave the colours that it stands in."""
    rest = content[mark.end() :]
    if not rest.strip():  # it says nothing but its level
        return content
    colours = "" if mark[0].isprintable() else "".join(_SEQUENCES.findall(mark[0]))
    return colours + rest


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
    name = task if task.isprintable() else safe_text(task).replace(_INDENT, " ")
    return f"{name}: ", len(name.encode()) + 2

"""How important a line of output is."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.domain import Level
from app.engine.launchers.base import OutputLine, Stream

_LEVELS = {
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
BY_STREAM: Mapping[Stream, Level] = {
    Stream.STDOUT: Level.INFO,
    Stream.STDERR: Level.WARN,
    Stream.REMARK: Level.INFO,
}

_WORD = "|".join(_LEVELS)
# Sequences that colour the text (ECMA-48, 8.3.117), or control a terminal otherwise, and blanks.
_UNSEEN = r"(?:[ \t]|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]|\x1b\][^\x07\x1b]*+(?:\x07|\x1b\\))*+"
# After a bare word: a blank, the end, a colour or punctuation; and not what gives it a value.
_BARE_END = r"(?=[\s\x1b\x9b:|\])>!,;]|$)(?!\s*+:?=(?!=))"
# Bare in capitals; in any case when in brackets or before a colon.
_MARK = re.compile(
    rf"{_UNSEEN}(?:({_WORD}){_BARE_END}"
    rf"|(?i:[\[<]{_UNSEEN}({_WORD}){_UNSEEN}[\]>]|({_WORD})(?:\x1b\[[0-9;]*+m)*+:(?!=)))"
)
_FIRST = frozenset(" \t[<\x1b\x9b") | {
    letter for word in _LEVELS for letter in (word[0], word[0].lower())
}


def level_of(line: OutputLine) -> Level:
    """Return the level of a line: by the word that it begins with, or else by its stream.

    ``ERROR disk full``, ``[error] disk full``, ``error: disk full`` are errors, in any colour;
    ``error rates`` is a line like any other, and ``DEBUG=1`` a setting.
    """
    text = line.text
    if text[:1] in _FIRST and (mark := _MARK.match(text)):
        return _LEVELS[mark[mark.lastindex or 0].upper()]
    return BY_STREAM[line.stream]

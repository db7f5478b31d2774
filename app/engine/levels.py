"""How important a line of output is."""

from __future__ import annotations

import re

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
_BY_STREAM = {Stream.STDOUT: Level.INFO, Stream.STDERR: Level.WARN, Stream.REMARK: Level.INFO}

_WORD = "|".join(_LEVELS)
# Bare in capitals; in any case when in brackets or before a colon.
_MARK = re.compile(rf"[ \t]*+(?:({_WORD})(?!\w)|(?i:[\[<] *+({_WORD}) *+[\]>]|({_WORD}):))")
_FIRST = frozenset(" \t[<") | {word[0] for word in _LEVELS} | {word[0].lower() for word in _LEVELS}


def level_of(line: OutputLine) -> Level:
    """Return the level of a line: by the word that it begins with, or else by its stream.

    ``ERROR disk full``, ``[error] disk full``, ``error: disk full`` are errors; ``error rates`` is
    a line like any other.
    """
    text = line.text
    if text[:1] in _FIRST and (mark := _MARK.match(text)):
        return _LEVELS[mark[mark.lastindex or 0].upper()]
    return _BY_STREAM[line.stream]

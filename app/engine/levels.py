"""How important a line of output is."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain import Level
from app.engine.launchers.base import OutputLine, Stream
from app.log_lines import LEVEL_WORDS, level_word

BY_STREAM: Mapping[Stream, Level] = {
    Stream.STDOUT: Level.INFO,
    Stream.STDERR: Level.WARN,
    Stream.REMARK: Level.INFO,
}
"""The level of a line that does not say its own."""


def level_of(line: OutputLine) -> Level:
    """Return the level of a line: by the word that it begins with, or else by its stream."""
    word = level_word(line.text)
    return LEVEL_WORDS[word] if word else BY_STREAM[line.stream]

"""Hiding secrets in what is given to others: in values, texts and log entries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Final

from app.domain import JSON, LogEntry
from app.observability import CONFIDENTIAL_NAMES, is_secret_name, redact

HIDDEN: Final = "***"
_SHORTEST: Final = 4
"""Characters of what is looked for in texts: shorter ones stand everywhere."""
_MOST_VALUES: Final = 100
_MOST_KEY_LINES: Final = 200
"""Lines of a private key, about four times those of the longest one that is in use."""
_KEY_BEGINS: Final = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----")
_KEY_ENDS: Final = "PRIVATE KEY-----"
# The lines of a key are of one length (RFC 7468, 2: 64), but for the last one.
_KEY_LINE: Final = re.compile(r"[0-9A-Za-z+/=]{40,100}")
_LAST_KEY_LINE: Final = re.compile(r"[0-9A-Za-z+/=]{1,100}")
_LONGEST_LINE: Final = 101
"""Characters of a line of a key, with its end."""
_END_OF_KEY: Final = re.compile(rf"-----END [A-Z ]{{0,30}}{_KEY_ENDS}")
# A name that a secret would have, and what is given to it; no more than 80 characters are gone
# through from any place. A brace or a bracket begins what says something of the name.
_GIVEN: Final = re.compile(
    r"(?<![\w.-])([\"']?[\w.-]{0,40}"
    rf"(?:{CONFIDENTIAL_NAMES})"
    r"[\w.-]{0,40}[\"']?[ \t]{0,8}[:=][ \t]{0,8})"
    r"(?![ \t{\[|>&$]|\"\$\{|'\$\{|\"?[\r\n])"
    r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s,}\]\"']+)",
    re.IGNORECASE,
)


class Hiding:
    """Hides what is, or looks like, a secret of one execution.

    Args:
        inputs: Values of the execution; what is given to a name of a secret is one, wherever else
            it stands.
    """

    def __init__(self, *inputs: Mapping[str, JSON]) -> None:
        known = {text for values in inputs for text in _secrets_in(values)}
        # Longer ones first: one may begin as another does.
        self._known = sorted(known, key=lambda text: (-len(text), text))[:_MOST_VALUES]
        self._key_lines: dict[tuple[str, int], int] = {}

    def anew(self) -> Hiding:
        """Return what hides the same, and was not given any entry yet; values are not read again.

        Each log that is gone through needs its own.
        """
        other = Hiding()
        other._known = self._known
        return other

    def text(self, text: str) -> str:
        """Hide secrets in a text."""
        for known in self._known:
            if known in text:
                text = text.replace(known, HIDDEN)
        text = redact(text)
        return _without_ends_of_keys(text) if _KEY_ENDS in text else text

    def definition(self, text: str) -> str:
        """Hide secrets in a definition: also what it gives to names of secrets."""
        return self.text(_GIVEN.sub(rf"\g<1>{HIDDEN}", text))

    def value(self, value: JSON) -> JSON:
        """Hide secrets in a value, by their names and by what they look like."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(str(name)): HIDDEN if is_secret_name(str(name)) else self.value(each)
                for name, each in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        return value

    def entries(self, entries: Iterable[LogEntry]) -> list[LogEntry]:
        """Hide secrets in entries that follow each other, and those given before.

        A private key goes on over entries of the same stream of a task, and the first entries may
        stand within one.
        """
        shown: list[LogEntry] = []
        for entry in entries:
            shown.append(self.entry(entry))
            if _KEY_ENDS in entry.content and entry.content.startswith("-----END "):
                self._hide_back(shown)
        return shown

    @staticmethod
    def _hide_back(shown: list[LogEntry]) -> None:
        """Hide the lines before the last one, which ends a key, as far as they look like one."""
        last, looks = shown[-1], _LAST_KEY_LINE
        for place in range(len(shown) - 2, max(-1, len(shown) - 2 - _MOST_KEY_LINES), -1):
            entry = shown[place]
            if (entry.task, entry.stream) != (last.task, last.stream):
                continue
            if not looks.fullmatch(entry.content):
                return
            shown[place], looks = replace(entry, content=HIDDEN), _KEY_LINE

    def entry(self, entry: LogEntry) -> LogEntry:
        """Hide secrets in a log entry that follows those given before."""
        content = self._without_key(entry)
        content = self.text(entry.content) if content is None else content
        return entry if content == entry.content else replace(entry, content=content)

    def _without_key(self, entry: LogEntry) -> str | None:
        """Return what is shown of an entry within a private key; None where it is in none."""
        if not self._key_lines and "-----BEGIN " not in entry.content:
            return None
        source = entry.task, entry.stream
        left = self._key_lines.pop(source, 0)
        if left:
            if _KEY_ENDS not in entry.content and left > 1:
                self._key_lines[source] = left - 1
            return HIDDEN
        begins = _KEY_BEGINS.search(entry.content)
        if begins is not None and _KEY_ENDS not in entry.content[begins.end() :]:
            self._key_lines[source] = _MOST_KEY_LINES
        return None


def _without_ends_of_keys(text: str) -> str:
    """Hide what a text holds that begins within a private key: each line is looked at once."""
    shown: list[str] = []
    begin = 0
    for end in _END_OF_KEY.finditer(text):
        # From the last dash of the one before on: what follows that is no whole line.
        first = max(0, begin - 1, end.start() - (_MOST_KEY_LINES + 1) * _LONGEST_LINE)
        *lines, rest = text[first : end.start()].split("\n")
        of_key = _of_key(reversed(lines)) if not rest else []
        start = end.start() - sum(len(line) + 1 for line in of_key)
        shown += text[begin:start], HIDDEN
        begin = end.end()
    return "".join([*shown, text[begin:]])


def _of_key(lines: Iterable[str]) -> list[str]:
    """Return those lines that look like ones of a key; they are given from its last one back."""
    found, looks = [], _LAST_KEY_LINE
    for line in islice(lines, _MOST_KEY_LINES + 1):
        if not looks.fullmatch(line):
            break
        found.append(line)
        looks = _KEY_LINE
    return found


def _secrets_in(value: JSON, named: bool = False) -> Iterator[str]:
    """Yield the texts that are given to names of secrets."""
    if isinstance(value, str):
        if named and len(value) >= _SHORTEST:
            yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _secrets_in(each, named or is_secret_name(str(name)))
    elif isinstance(value, list):
        for each in value:
            yield from _secrets_in(each, named)

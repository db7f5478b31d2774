"""What a log entry says, for a page without scripts: no colours, nothing that cannot be seen."""

from __future__ import annotations

import re
from typing import Final

from app.log_lines import without_sequences

_DIRECTIONS: Final = {
    "\u200e": "LRM", "\u200f": "RLM", "\u061c": "ALM", "\u202a": "LRE", "\u202b": "RLE",
    "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO", "\u2066": "LRI", "\u2067": "RLI",
    "\u2068": "FSI", "\u2069": "PDI",
}  # fmt: skip
"""Marks of direction (Unicode Standard Annex 9), which make a text look like another."""
_UNSEEN: Final = re.compile(rf"[{''.join(_DIRECTIONS)}]|[\0-\x08\x0b-\x1f\x7f-\x9f]")


def plain_text(content: str) -> str:
    """Return a text as it was left, with names in the place of what cannot be seen."""
    return _UNSEEN.sub(_named, without_sequences(_settled(content)))


def _settled(content: str) -> str:
    """Return of each line what stands there at the end, where it goes back to its beginning."""
    if "\r" not in content:
        return content
    lines = (line.split("\r") for line in re.split(r"\r*\n", content))
    return "\n".join(next(filter(None, reversed(states)), "") for states in lines)


def _named(found: re.Match[str]) -> str:
    character = found[0]
    if character in _DIRECTIONS:
        return f"\u27e6{_DIRECTIONS[character]}\u27e7"
    code = ord(character)
    return f"^{chr(code + 0x40)}" if code < 0x20 else "^?" if code == 0x7F else "\ufffd"

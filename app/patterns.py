r"""Regular expressions of users, by RE2: what takes how long is decided by the length of a text.

Python's own ``re`` tries all ways to match, and ``(a+)+$`` takes it longer than anybody waits. RE2
(https://github.com/google/re2/wiki/Syntax) takes time in proportion to a text, and to the size of
what a pattern is compiled to, which has a bound here. It has neither backreferences nor
look-around. This is what worker processes do, see :mod:`app.isolation`.
"""

from __future__ import annotations

import pickle
import re
import time
from collections.abc import Sequence
from typing import Any, Final

import re2

MOST_INSTRUCTIONS: Final = 3000
"""Largest size of what a pattern is compiled to: so many steps may each byte of a text take."""
SEARCHED_BYTES: Final = 64 * 1024
"""What is looked at of one text: its beginning."""

_SLICE_SECONDS: Final = 0.05
"""How long one owner's texts are matched before others have a turn."""
_MEMORY_BYTES: Final = 2**20
_MOST_PLACES: Final = 100
# A bracket, or what may hold some that are none.
_TOKEN: Final = re.compile(r"\\Q.*?(?:\\E|\Z)|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]?|[()]", re.DOTALL)
_MISSING: Final = ("(?=", "(?!", "(?<", "(?P=", *(f"\\{digit}" for digit in range(1, 10)))


def fault_of(pattern: bytes) -> bytes:
    """Return in words why a pattern cannot be used; nothing where it can.

    Args:
        pattern: As UTF-8.
    """
    try:
        size = _compiled(pattern).programsize
    except re2.error as exc:
        return _explained(pattern.decode(), exc).encode()
    if size > MOST_INSTRUCTIONS:
        return b"must be simpler: what it repeats, and how often, makes it too large"
    return b""


def matching(work: bytes) -> bytes:
    """Find the texts in which a pattern matches somewhere, the first ones of them in a short time.

    Args:
        work: The pattern as UTF-8 and the texts, pickled.

    Returns:
        Places of texts that match, and how many texts were looked at, pickled.
    """
    pattern, texts = pickle.loads(work)  # noqa: S301  (from a process of ours)
    return pickle.dumps(_matching(pattern, texts))


def _matching(pattern: bytes, texts: Sequence[str]) -> tuple[list[int], int]:
    search = _compiled(pattern).search
    found: list[int] = []
    until = time.perf_counter() + _SLICE_SECONDS
    for place, text in enumerate(texts):
        if place and time.perf_counter() > until:
            return found, place
        if search(text.encode("utf-8", "replace")[:SEARCHED_BYTES]) is not None:
            found.append(place)
    return found, len(texts)


def _compiled(pattern: bytes) -> Any:
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    return re2.compile(pattern, options)


def _explained(pattern: str, error: Exception) -> str:
    what, _, part = error.args[0].decode("utf-8", "replace").partition(": ")
    if what.startswith("pattern too large"):
        return "must be simpler: what it repeats, and how often, makes it too large"
    place = _place_of(pattern, what, part)
    # Of brackets the part is all that follows, or the whole.
    shown = what if what.startswith(("missing", "unexpected")) or not part else f"{what} {part}"
    where = "" if place is None else f" at character {place + 1}"
    hint = "; RE2 has no backreferences and no look-around" if part.startswith(_MISSING) else ""
    return f"must be a regular expression (RE2): {shown}{where}{hint}"


def _place_of(pattern: str, what: str, part: str) -> int | None:
    """Find where a fault is: the first place whose part makes it, when nothing follows."""
    if what in {"missing )", "unexpected )"}:
        return _odd_bracket(pattern)
    if not part:
        return len(pattern) - 1 if pattern.endswith("\\") else None
    if pattern.count(part) == 1:
        return pattern.index(part)
    place = pattern.find(part)
    for _ in range(_MOST_PLACES):
        if place < 0:
            return None
        try:
            _compiled(pattern[: place + len(part)].encode())
        except re2.error as exc:
            if exc.args[0].decode("utf-8", "replace").startswith(f"{what}: "):
                return place
        place = pattern.find(part, place + 1)
    return None


def _odd_bracket(pattern: str) -> int | None:
    """Return the place of the bracket that has no counterpart: one that closes, or the last."""
    opened: list[int] = []
    for token in _TOKEN.finditer(pattern):
        if token[0] == "(":
            opened.append(token.start())
        elif token[0] == ")" and not opened:
            return token.start()
        elif token[0] == ")":
            opened.pop()
    return opened[-1] if opened else None

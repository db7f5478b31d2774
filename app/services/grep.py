"""Looking for a regular expression in the entries of logs, where that holds up nobody."""

from __future__ import annotations

import pickle
import re
import time
from collections.abc import Sequence
from typing import Final

from app.caching import LruCache
from app.domain import LogEntry
from app.errors import FieldError, InvalidRequest, LimitExceeded
from app.isolation import Isolated, OverBudget
from app.memory import PATTERNS_BYTES

LONGEST_PATTERN: Final = 500
"""Characters of a pattern."""
CALL_SECONDS: Final = 10.0
"""Longest time of one call; each lasts a twentieth of a second, and the rest of one entry."""
SEARCH_SECONDS: Final = 20.0
"""Longest time in which one request looks for what it is to answer with."""

LONGEST_TEXT: Final = 200
"""Characters of a text that is looked for as it stands."""

_PROCESSES: Final = 2
"""One owner never has all of them."""
_FIELD: Final = "grep"
_MEANING_SOMETHING: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
"""Characters that mean something in a pattern, and not themselves."""


def pattern_for(text: str) -> str:
    """Return the pattern that matches a text as it stands, in capitals or not.

    Args:
        text: At most :data:`LONGEST_TEXT` characters.
    """
    return "(?i)" + _MEANING_SOMETHING.sub(r"\\\g<0>", text)


class Grep:
    """Finds the entries whose content a pattern matches, in worker processes.

    Turns go by owner, so that nobody's patterns hold up somebody else's. See :mod:`app.patterns`
    for what a pattern may be, and may cost.

    Args:
        isolated: The processes; ones of its own unless given.
    """

    def __init__(self, isolated: Isolated | None = None) -> None:
        # Each caller is a request that is held, and those are counted already.
        self._isolated = isolated or Isolated(_PROCESSES, seconds=CALL_SECONDS, waiting=None)
        self._good: LruCache[str, bool] = LruCache(PATTERNS_BYTES)

    def check(self, pattern: str | None, owner: str) -> None:
        """Make sure that a pattern, if there is one, can be used.

        Raises:
            InvalidRequest: It cannot; the fault at ``grep`` says why, and where in it.
        """
        if pattern is None or self._good.get(pattern):
            return
        if not 0 < len(pattern) <= LONGEST_PATTERN:
            raise _invalid(f"must have 1 to {LONGEST_PATTERN} characters")
        fault = self._run(owner, "fault_of", pattern.encode("utf-8", "replace"))
        if fault:
            raise _invalid(fault.decode())
        self._good.put(pattern, True)

    def matching(self, entries: Sequence[LogEntry], pattern: str, owner: str) -> list[LogEntry]:
        """Return the entries in which a pattern matches.

        Args:
            entries: Few of them: a stretch.
            pattern: It was checked.
            owner: Whose turn is taken.

        Raises:
            InvalidRequest: It takes too long to find out.
        """
        found: list[LogEntry] = []
        first = 0
        while first < len(entries):
            rest = [entry.content for entry in entries[first:]]
            work = pickle.dumps((pattern.encode("utf-8", "replace"), rest))
            places, number = pickle.loads(self._run(owner, "matching", work))  # noqa: S301
            found += [entries[first + place] for place in places]
            first += number
        return found

    def _run(self, owner: str, function: str, argument: bytes) -> bytes:
        name = owner.partition(" ")[0]  # all that a user does counts together
        for is_last in (False, True):
            began = time.monotonic()
            try:
                return self._isolated.run(name, f"app.patterns:{function}", argument)
            except OverBudget:
                # Before its time is over, a process was ended by somebody else.
                if is_last or time.monotonic() - began >= CALL_SECONDS:
                    break
        raise _invalid("must be simpler: it takes too long in this log")


class Patience:
    """The time in which a request looks for what it is to answer with.

    Args:
        seconds: How long that is; :data:`SEARCH_SECONDS` unless given.
    """

    __slots__ = ("_until",)

    def __init__(self, seconds: float | None = None) -> None:
        self._until = time.monotonic() + (SEARCH_SECONDS if seconds is None else seconds)

    @property
    def is_over(self) -> bool:
        """Whether there is none left."""
        return time.monotonic() > self._until

    def require(self) -> None:
        """Make sure that there is some left.

        Raises:
            LimitExceeded: There is none; what was found out is kept.
        """
        if self.is_over:
            text = (
                f"The log is long: {SEARCH_SECONDS:g} seconds were not enough to look for the "
                "pattern in it. Ask again to go on from there, or follow it as a stream."
            )
            raise LimitExceeded(text, retry_after_seconds=1)


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest("The pattern cannot be used.", fields=(FieldError(_FIELD, message),))

"""From the bytes that a command writes to the lines that are kept of them.

A carriage return without a line feed ends a *state* of a line, such as one of a progress bar, that
the next one is to overwrite. Each is kept as a line of its own, so that readers see it; of states
that follow each other faster than anybody reads, some are kept.
"""

import math

from .records import CONTINUED, MAX_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_UNFINISHED_SECONDS = 1.0
"""How long the beginning of a line waits for its end, before it is passed on without."""
_STATE_SECONDS = 0.5
"""The same for a state: a line feed may follow its carriage return. Also how often one is kept."""
_MOST_STATES = 1000
"""States that are kept one right after the other, such as the lines of a file from an old Mac."""


class Lines:
    """Splits what comes from one stream.

    Attributes:
        due: When what is here is to be passed on by :meth:`overdue`, on the monotonic clock.
    """

    def __init__(self) -> None:
        self.due = math.inf
        self._rest = b""
        self._begun = False  # the beginning of the line that `_rest` belongs to was passed on
        self._states = float(_MOST_STATES)
        self._states_at = -math.inf

    @property
    def room(self) -> int:
        """How many bytes may come at once: one more than the longest line can have."""
        return MAX_LINE + 1 - len(self._rest)

    def feed(self, chunk: bytes, now: float) -> "Iterator[tuple[int, bytes]]":
        """Take bytes, at most as many as there is room for.

        Args:
            chunk: The bytes.
            now: The moment, on the monotonic clock.

        Yields:
            What to pass on: whole lines, or a piece of one that is too long; with ``CONTINUED``
            where the first of them was begun before, and else 0.
        """
        waiting = bool(self._rest.strip(b"\r"))
        data = self._rest + chunk
        if b"\r" in data:
            data = self._without_returns(data, now)
        payload, self._rest = whole_lines(data)
        if payload:
            yield from self._lines(payload)
        if payload or not waiting:
            self._wait_from(now)
        elif self._rest[-1:] == b"\r":
            self.due = min(self.due, now + _STATE_SECONDS)

    def overdue(self) -> "Iterator[tuple[int, bytes]]":
        """Pass on what has waited for the end of its line for long enough."""
        self.due = math.inf
        if self._rest[-1:] == b"\r":
            yield from self._lines(self._rest[:-1] + b"\n")
            self._rest, self._begun = b"\r", True  # a line feed now would be the end of that line
            return
        end = whole_characters(self._rest)
        payload, self._rest = self._rest[:end], self._rest[end:]
        if payload:
            yield from self._lines(payload)

    def end(self) -> "Iterator[tuple[int, bytes]]":
        """Pass on the last line, which has no line feed."""
        self.due = math.inf
        payload, self._rest = self._rest.rstrip(b"\r"), b""
        if payload:
            yield from self._lines(payload)

    def _lines(self, payload: bytes) -> "Iterator[tuple[int, bytes]]":
        code, whole = CONTINUED if self._begun else 0, payload[-1:] == b"\n"
        if self._begun and payload[:1] == b"\n":  # the end of a line that was passed on already
            payload, code = payload[1:], 0
        self._begun = not whole
        if payload:
            yield code, payload

    def _without_returns(self, data: bytes, now: float) -> bytes:
        """Make lines of the states that are to be kept, and leave one return at the very end."""
        while b"\r\r" in data:
            data = data.replace(b"\r\r", b"\r")
        data = data.replace(b"\r\n", b"\n")
        last = data[-1:] if data[-1:] == b"\r" else b""
        lines = data[: len(data) - len(last)].split(b"\n")
        for place, line in enumerate(lines):
            if b"\r" in line:
                lines[place] = self._kept(line, now, first=place == 0)
        return b"\n".join(lines) + last

    def _kept(self, line: bytes, now: float, *, first: bool) -> bytes:
        *states, current = line.split(b"\r")
        self._states += (now - self._states_at) / _STATE_SECONDS
        self._states, self._states_at = min(self._states, float(_MOST_STATES)), now
        kept = []
        for place, state in enumerate(states):
            if first and place == 0 and self._begun:
                kept.append(state)  # the rest of what was passed on, or nothing: it ends that line
            elif state and self._states >= 1.0:
                self._states -= 1.0
                kept.append(state)
        return b"\n".join([*kept, current])

    def _wait_from(self, now: float) -> None:
        if not self._rest.strip(b"\r"):
            self.due = math.inf
        else:
            returned = self._rest[-1:] == b"\r"
            self.due = now + (_STATE_SECONDS if returned else _UNFINISHED_SECONDS)


def whole_lines(data: bytes, limit: int = MAX_LINE) -> "tuple[bytes, bytes]":
    """Split off what can be written: whole lines, or a piece of a line that is too long.

    Args:
        data: What came and was not written yet, at most ``limit + 1`` bytes.
        limit: Longest line, in bytes without its line feed; at least 4.

    Returns:
        What to write now, and what to keep until more comes: at most ``limit`` bytes.
    """
    end = data.rfind(b"\n") + 1
    if not end and len(data) > limit:
        end = limit
        # Not within a character: the bytes of a UTF-8 sequence but the first are 10xxxxxx.
        while end > limit - 3 and data[end] & 0xC0 == 0x80:
            end -= 1
    return data[:end], data[end:]


def whole_characters(data: bytes) -> int:
    """Return the length of data without the beginning of a UTF-8 sequence at its end (RFC 3629)."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:
            length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return len(data) - back if length > back else len(data)
    return len(data)

"""What one evaluation may take: steps, size and time.

Sizes are known before anything is made, so that no expression, whatever values it meets, takes
noticeably more memory than it may return. A step is about what a microsecond does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from app.documents import write_number
from app.engine.evaluation.values import EvaluationError, finite

MAX_STEPS: Final = 200_000
"""Steps of one evaluation: operations, and what they touch."""

MAX_LENGTH: Final = 1024 * 1024
"""Longest text, in characters, and longest value, in those of its JSON."""

MAX_DIGITS: Final = 1000
"""Longest integer."""

MAX_SECONDS: Final = 5.0
"""Processor time of one evaluation; steps end it first on any machine in good order."""

_MAX_BITS: Final = int(MAX_DIGITS * math.log2(10))
_ITEMS_A_STEP: Final = 8
_CHARACTERS_A_STEP: Final = 64
_STEPS_BETWEEN_CLOCKS: Final = 1000
_OTHER_CHARACTERS: Final = 4  # of null, and of the shortest numbers with a fraction


class Budget:
    """Counts what an evaluation takes; not to be shared by threads."""

    def __init__(self) -> None:
        self._left = MAX_STEPS
        self._clock_at = MAX_STEPS
        self._until = time.thread_time() + MAX_SECONDS

    def spend(self, steps: int = 1) -> None:
        """Count steps.

        Raises:
            EvaluationError: These are too many, or took too long.
        """
        self._left -= steps
        if self._left < 0:
            raise EvaluationError(f"it takes more than {MAX_STEPS:,} steps")
        if self._left < self._clock_at:
            self._clock_at = self._left - _STEPS_BETWEEN_CLOCKS
            if time.thread_time() > self._until:
                raise EvaluationError(f"it takes longer than {MAX_SECONDS:.0f} s")

    def items(self, count: int) -> None:
        """Count the items that an operation touches, or makes a list of."""
        self._check_length(count)
        self.spend(count // _ITEMS_A_STEP)

    def characters(self, count: int) -> None:
        """Count the characters that an operation touches, or makes a text of."""
        self._check_length(count)
        self.spend(count // _CHARACTERS_A_STEP)

    def compare(self, left: Any, right: Any) -> None:
        """Count what comparing two values touches."""
        if isinstance(left, str) and isinstance(right, str):
            self.characters(min(len(left), len(right)))
        elif _is_collection(left) and _is_collection(right):
            self.measure(left)
            self.measure(right)

    def search(self, text: str, wanted: str) -> None:
        """Count what searching a text for another takes, at worst their product."""
        self.characters(len(text))
        self.spend(len(text) * min(len(wanted), 128) // 4096)

    def measure(self, value: Any, look: Callable[[Any], None] = lambda _: None) -> int:
        """Return about how long the JSON of a value is, and count the walk through it.

        Args:
            value: What is walked through.
            look: Called with the value and all that is in it, names too.
        """
        size, pending = 0, [value]
        while pending:
            part = pending.pop()
            size += _length(part)
            self._check_length(size)
            look(part)
            if isinstance(part, Mapping):
                self.items(2 * len(part))
                pending.extend(part.keys())
                pending.extend(part.values())
            elif isinstance(part, list | tuple):
                self.items(len(part))
                pending.extend(part)
        self.characters(size)
        return size

    def text(self, value: Any) -> str:
        """Write a value as Jinja2 does, but numbers in plain digits."""
        if isinstance(value, str):
            return value
        if isinstance(value, float):
            return write_number(finite(value))
        if isinstance(value, Mapping | list | tuple):
            self.measure(value)
        text = str(value)
        self.characters(len(text))
        return text

    def integer(self, value: Any) -> Any:
        """Return a result of arithmetic unchanged, unless it is too long."""
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            raise EvaluationError(f"it makes an integer of more than {MAX_DIGITS:,} digits")
        return value

    def _check_length(self, count: int) -> None:
        if count > MAX_LENGTH:
            raise EvaluationError(
                f"it handles more than {MAX_LENGTH:,} characters or items at once"
            )


def _is_collection(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple)


def _length(part: Any) -> int:
    """Return how many characters of JSON a value takes, without those of what is in it."""
    if isinstance(part, str):
        return len(part) + 2
    if isinstance(part, Mapping):
        return 2 * len(part) + 2
    if isinstance(part, list | tuple):
        return len(part) + 2
    if isinstance(part, int):
        return part.bit_length() // 4 + 1
    return _OTHER_CHARACTERS

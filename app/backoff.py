"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that grow with each try that failed, up to a longest one.

    Attributes:
        first: Pause after the first failure, in seconds.
        longest: No pause is longer, but for the jitter, in seconds.
        growth: How many times as long each pause is as the one before; 1 for equal ones.
        jitter: Share of a pause, below 1, by which chance makes it longer or shorter, so that many
            who failed at one moment do not all come back at one moment.
    """

    first: float
    longest: float
    growth: float = 2.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.first <= self.longest and self.growth >= 1 and 0 <= self.jitter < 1):
            raise ValueError(f"these pauses do not grow from a first to a longest one: {self}")

    def pause(self, failures: int) -> float:
        """Return how long to wait, in seconds.

        Args:
            failures: Number of tries in a row that failed, at least 1; any number is fine.
        """
        try:
            pause = min(self.longest, self.first * float(self.growth) ** (failures - 1))
        except OverflowError:  # a float ends at 2 ** 1024
            pause = self.longest
        return pause * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311

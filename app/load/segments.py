"""Shares: which of some things, such as virtual users, are a slave's.

Things are numbered from 0 and dealt out one by one, in an order that depends on nothing but the
segments: each number belongs to exactly one of them, whatever the total. So shares sum to the whole
at any total, and one more thing never takes one from anybody, which cutting the total in pieces
(``floor(total * end) - floor(total * start)``) does: of five slaves the third has a virtual user of
2, and none of 3.

The whole consists of cells, of which each segment has some in a row. A round deals one to each
cell, in the order of van der Corput (the bits of the cell's number reversed), so that a segment is
never far from what its size is of a total; after whole rounds it has exactly that.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Final, Self

MOST_CELLS: Final = 2**24
"""Of one whole."""
MOST_LEVELS: Final = 4
"""How often a segment may be divided again."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Cells in a row of a whole, which is all there is, or another segment.

    Attributes:
        first: The first of its cells, counted from 0.
        last: The one behind its last; the same as ``first`` if it has none.
        of: How many cells the whole has.
        within: The whole; None for all there is.
    """

    first: int = 0
    last: int = 1
    of: int = 1
    within: Segment | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last <= self.of or not 0 < self.of <= MOST_CELLS:
            raise ValueError(f"no cells of a whole: {self.first} to {self.last} of {self.of}")

    @property
    def start(self) -> Fraction:
        """Where it begins, from 0 to 1."""
        return self._place(self.first)

    @property
    def end(self) -> Fraction:
        """Where it ends, from 0 to 1."""
        return self._place(self.last)

    def _place(self, cell: int) -> Fraction:
        place = Fraction(cell, self.of)
        if self.within is None:
            return place
        return self.within.start + place * (self.within.end - self.within.start)

    def share(self, total: int) -> int:
        """Return how many of the numbers below a total, which is not negative, belong to it."""
        if self.within is not None:
            total = self.within.share(total)
        rounds, rest = divmod(total, self.of)
        turns = _turns(self.first, self.last, self.of)
        return rounds * len(turns) + bisect_left(turns, rest)

    def number(self, index: int) -> int:
        """Return the number of what it gets as the first (0), second (1) and so on.

        Raises:
            ValueError: It has no cells, so it gets nothing.
        """
        turns = _turns(self.first, self.last, self.of)
        if not turns:
            raise ValueError("a segment without cells")
        rounds, rest = divmod(index, len(turns))
        number = rounds * self.of + turns[rest]
        return number if self.within is None else self.within.number(number)

    def split(self, weights: Sequence[int]) -> tuple[Self, ...]:
        """Divide it among several, by what each of them can carry.

        Of a total that all together can carry, nobody gets more than they can.

        Args:
            weights: Not negative and not all 0; who has 0 gets nothing.

        Raises:
            ValueError: They are, or they sum to more than :data:`MOST_CELLS`.
        """
        if min(weights, default=0) < 0 or not any(weights):
            raise ValueError("weights must not be negative, and not all 0")
        unit = math.gcd(*weights)
        edges = [0, *accumulate(weight // unit for weight in weights)]
        within = None if self == WHOLE else self
        return tuple(type(self)(*cells, edges[-1], within) for cells in pairwise(edges))

    def to_json(self) -> list[int]:
        """Write it for the store and the wire: four integers, and four more each time divided.

        They are numerator and denominator of where it begins within its whole, and of where it
        ends. They are not reduced: the denominator is how many cells the whole has.
        """
        outer = [] if self.within is None else self.within.to_json()
        return [*outer, self.first, self.of, self.last, self.of]


WHOLE: Final = Segment()


def segment_of_json(value: Any) -> Segment:
    """Read what :meth:`Segment.to_json` has written.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(value, list | tuple) or {type(number) for number in value} != {int}:
        raise ValueError("a segment must be a list of integers")
    if len(value) % 4 or len(value) > 4 * MOST_LEVELS:
        raise ValueError(f"a segment must have four integers, and at most {MOST_LEVELS} times four")
    segment: Segment | None = None
    for first, of, last, again in zip(*(value[place::4] for place in range(4)), strict=True):
        if of != again:
            raise ValueError("a segment must begin and end in the same whole")
        segment = Segment(first, last, of, segment)
    return segment or WHOLE


def deal(total: int, segment: Segment, holders: int) -> int:
    """Return how many of a total belong to a segment, dealt in turn to those who hold something.

    So a slave without virtual users gets no iterations, and each gets as many as its users have
    turns.

    Args:
        total: How many iterations.
        segment: The part of the virtual users.
        holders: How many virtual users there are in all; with none, nobody gets anything.
    """
    if not holders:
        return 0
    rounds, rest = divmod(total, holders)
    return rounds * segment.share(holders) + segment.share(rest)


@lru_cache(maxsize=1024)
def _turns(first: int, last: int, of: int) -> tuple[int, ...]:
    """Return the places of cells in the order of a round, ascending."""
    bits = (of - 1).bit_length()
    return tuple(sorted(_turn(cell, of, bits) for cell in range(first, last)))


def _turn(cell: int, of: int, bits: int) -> int:
    """Return how many cells of a whole come before one in a round.

    Those are the numbers below the reversed one which, reversed, are cells: counted for each of its
    bits that is set, as those that agree above that bit and are free below it.
    """
    reversed_cell = _reversed(cell, bits)
    turn = 0
    for low in range(bits):
        if reversed_cell >> low & 1:
            fixed = _reversed(reversed_cell >> (low + 1) << (low + 1), bits)
            step = bits - low
            turn += max(0, min(1 << low, -((fixed - of) >> step)))
    return turn


def _reversed(number: int, bits: int) -> int:
    return int(f"{number:0{bits}b}"[::-1], 2) if bits else 0

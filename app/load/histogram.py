"""Durations in sparse logarithmic buckets, which merge exactly and are JSON.

Numbers below 256 have a bucket of their own. Above, an octave has 174 buckets of the same relative
width, so the value that stands for one is at most 0.2 % off.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from math import log2
from typing import Any, Final, TypedDict

LONGEST_US: Final = 2**53 - 1
"""The longest duration that is told, some 285 years, which each reader of JSON can hold."""

_EXACT: Final = 256
_OCTAVE: Final = 174
_BUCKETS: Final = frozenset(
    map(str, [*range(_EXACT), *range(int(math.log2(_EXACT) * _OCTAVE), 53 * _OCTAVE + 1)])
)


class Counts(TypedDict):
    """A histogram, in JSON. All durations are in microseconds.

    Attributes:
        n: How many there are.
        sum: Of all; exact.
        min: The shortest; 0 if there is none.
        max: The longest; 0 if there is none.
        b: How many are in each bucket that has any, by its number as text.
    """

    n: int
    sum: int
    min: int
    max: int
    b: dict[str, int]


class Histogram:
    """Counts durations for one greenlet's hub; :meth:`counts` is what goes elsewhere."""

    __slots__ = ("_buckets", "_longest", "_shortest", "_sum")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self._sum = 0
        self._shortest = LONGEST_US
        self._longest = 0

    def add(self, microseconds: int) -> None:
        """Count one, which is not negative."""
        bucket = microseconds if microseconds < 256 else int(log2(microseconds) * 174)
        buckets = self._buckets
        if bucket in buckets:
            buckets[bucket] += 1
        else:
            buckets[bucket] = 1
        self._sum += microseconds
        self._longest = max(self._longest, microseconds)
        self._shortest = min(self._shortest, microseconds)

    def counts(self) -> Counts:
        """Return what was counted so far, as a copy."""
        return {
            "n": sum(self._buckets.values()),
            "sum": self._sum,
            "min": self._shortest if self._buckets else 0,
            "max": self._longest,
            "b": {str(bucket): count for bucket, count in self._buckets.items()},
        }


def nothing() -> Counts:
    """Return a histogram without any duration."""
    return {"n": 0, "sum": 0, "min": 0, "max": 0, "b": {}}


def merged(histograms: Iterable[Counts]) -> Counts:
    """Return a histogram of all that several have counted, whatever their order."""
    total = nothing()
    buckets = total["b"]
    get = buckets.get
    for one in histograms:
        if not one["n"]:
            continue
        total["min"] = min(total["min"], one["min"]) if total["n"] else one["min"]
        total["max"] = max(total["max"], one["max"])
        total["n"] += one["n"]
        total["sum"] += one["sum"]
        for bucket, count in one["b"].items():
            buckets[bucket] = get(bucket, 0) + count
    return total


def mean(histogram: Counts) -> float:
    """Return the mean, in microseconds; 0 of none."""
    return histogram["sum"] / histogram["n"] if histogram["n"] else 0.0


def quantiles(histogram: Counts, wanted: Sequence[float]) -> list[float]:
    """Return quantiles, in microseconds; 0 of none.

    Between two neighbours it is interpolated, as between the values themselves (definition 7 of
    Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996); a value is the middle of its
    bucket, within the shortest and the longest, which are exact.

    Args:
        histogram: What was counted.
        wanted: From 0, the shortest, to 1, the longest.
    """
    if not histogram["n"]:
        return [0.0] * len(wanted)
    buckets = sorted((int(bucket), count) for bucket, count in histogram["b"].items())
    behind = list(accumulate(count for _, count in buckets))

    def value(rank: int) -> float:
        if rank <= 0:
            return histogram["min"]
        if rank >= histogram["n"] - 1:
            return histogram["max"]
        middle = _value(buckets[bisect_right(behind, rank)][0])
        return min(max(middle, histogram["min"]), histogram["max"])

    return [_between(value, quantile * (histogram["n"] - 1)) for quantile in wanted]


def _between(value: Callable[[int], float], place: float) -> float:
    below = math.floor(place)
    low, part = value(below), place - below
    return low + part * (value(below + 1) - low) if part else low


def quantile(histogram: Counts, wanted: float) -> float:
    """Return one of :func:`quantiles`."""
    return quantiles(histogram, [wanted])[0]


def _value(bucket: int) -> float:
    """Return the harmonic mean of a bucket's bounds, whose largest relative error is least."""
    if bucket < _EXACT:
        return bucket
    low, high = 2 ** (bucket / _OCTAVE), 2 ** ((bucket + 1) / _OCTAVE)
    return 2 * low * high / (low + high)


def read_counts(value: object) -> Counts:
    """Read a histogram that somebody else has sent.

    Raises:
        ValueError: It is something else, or does not add up.
    """
    if not isinstance(value, dict) or value.keys() != {"n", "sum", "min", "max", "b"}:
        raise ValueError("a histogram must have n, sum, min, max and b")
    buckets = value["b"]
    numbers = [value[name] for name in ("n", "sum", "min", "max")]
    if not isinstance(buckets, dict) or not all(map(is_count, numbers)) or not _counts(buckets):
        raise ValueError("a histogram must count in integers that are not negative")
    if sum(buckets.values()) != value["n"]:
        raise ValueError("the buckets of a histogram must hold n")
    if value["min"] > value["max"] or (not value["n"] and any(numbers)):
        raise ValueError("the bounds of a histogram must hold what it counts")
    return {
        "n": value["n"],
        "sum": value["sum"],
        "min": value["min"],
        "max": value["max"],
        "b": dict(buckets),
    }


def is_count(value: object) -> bool:
    """Return whether something is an integer from 0 on that JSON can hold."""
    return type(value) is int and 0 <= value <= LONGEST_US


def _counts(buckets: Mapping[Any, Any]) -> bool:
    """Return whether there are whole numbers above 0 in buckets, without a loop in Python."""
    numbers = buckets.values()
    return (
        buckets.keys() <= _BUCKETS
        and set(map(type, numbers)) <= {int}
        and min(numbers, default=1) > 0
    )

"""How many virtual users and iterations there are to be at a moment, in all.

Functions of the options, and of how long the execution has been running, without pauses. Nothing is
rounded on the way: each slave calculates the same total and takes its share
(:mod:`app.load.segments`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from app.load.definition import Mode, Options

ARRIVALS: Final = frozenset({Mode.CONSTANT_ARRIVAL_RATE, Mode.RAMPING_ARRIVAL_RATE})
"""Modes in which iterations begin at their time, whether earlier ones have ended or not."""

_RAMPS: Final = frozenset({Mode.RAMPING_VUS, Mode.RAMPING_ARRIVAL_RATE})


def ends_at(options: Options) -> int | None:
    """Return after how many microseconds no iteration begins any more.

    Returns:
        None if that is for iterations to decide, or for somebody who asks for the end.
    """
    if options.mode in _RAMPS:
        return sum(stage.duration_us for stage in options.stages)
    return options.duration_us


def vus_at(options: Options, scaled: int | None, elapsed_us: int) -> int:
    """Return how many virtual users there are to be in all.

    In a ramp one is added when the line through the targets reaches the next whole number, and
    taken away when it does on the way down. In the arrival modes this is how many there may be.

    Args:
        options: How much is to run.
        scaled: The number that somebody has asked for, which takes the place of every other from
            then on; a ramp is over with it, but lasts as long as its stages.
        elapsed_us: How long it has been running, in microseconds.
    """
    if options.mode is Mode.RAMPING_VUS and scaled is None:
        return _on_ramp(options, elapsed_us)
    return most_vus(options, scaled)


def most_vus(options: Options, scaled: int | None = None) -> int:
    """Return how many virtual users there may be at once, at any moment.

    Those who could never get an iteration are not among them.

    Args:
        options: How much is to run.
        scaled: As of :func:`vus_at`.
    """
    if scaled is not None:
        wanted = scaled
    elif options.mode is Mode.RAMPING_VUS:
        wanted = max((math.ceil(stage.target) for stage in options.stages), default=0)
    elif options.mode in ARRIVALS:
        wanted = options.max_vus or options.pre_allocated_vus or options.vus
    else:
        wanted = options.vus
    if options.mode is Mode.SHARED_ITERATIONS:
        return min(wanted, options.iterations or 0)
    if options.mode is Mode.EXTERNALLY_CONTROLLED and options.max_vus is not None:
        return min(wanted, options.max_vus)
    return wanted


def first_vus(options: Options, scaled: int | None = None) -> int:
    """Return how many virtual users of an arrival mode are there before they are needed."""
    most = most_vus(options, scaled)
    return most if options.pre_allocated_vus is None else min(options.pre_allocated_vus, most)


def quota(options: Options, scaled: int | None = None) -> int | None:
    """Return how many iterations may be begun in all.

    Args:
        options: How much is to run.
        scaled: As of :func:`vus_at`: further virtual users have iterations of their own, in the
            mode where each has.

    Returns:
        None if their number has no bound.
    """
    if options.mode is Mode.PER_VU_ITERATIONS:
        return max(options.vus, scaled or 0) * (options.iterations or 0)
    return options.iterations if options.mode is Mode.SHARED_ITERATIONS else None


def due_at(options: Options, elapsed_us: int) -> Fraction:
    """Return how many iterations of an arrival mode are due until a moment, with fractions.

    That is the integral of the rate, up to the end.
    """
    end = ends_at(options)
    elapsed_us = max(0, elapsed_us if end is None else min(elapsed_us, end))
    if options.mode is Mode.CONSTANT_ARRIVAL_RATE:
        area = (options.rate or Fraction()) * elapsed_us
    else:
        area = sum(
            (
                (before + after) / 2 * passed
                for before, after, passed in _passed(options, elapsed_us)
            ),
            Fraction(),
        )
    return area / options.time_unit_us


def due_count(options: Options, elapsed_us: int) -> int:
    """Return how many iterations of an arrival mode are to have begun at a moment.

    The first one begins when the rate is first above 0, and each other one when the number of those
    due before it is whole, so all of them begin before the end: in 10 seconds of 100 a second it is
    1,000, and no 1,001st at the last moment.
    """
    return math.ceil(due_at(options, elapsed_us))


def next_due_us(options: Options, elapsed_us: int) -> int | None:
    """Return when the next iteration of an arrival mode is due at the rate of a moment.

    Returns:
        Microseconds from now, where the rate does not rise before; None while it is 0.
    """
    rate = _rate_at(options, elapsed_us)
    if not rate:
        return None
    due = due_at(options, elapsed_us)
    return math.floor((math.ceil(due) - due) * options.time_unit_us / rate)


def _on_ramp(options: Options, elapsed_us: int) -> int:
    before, value = _stretch(options, elapsed_us)
    return math.floor(value) if value >= before else math.ceil(value)


def _rate_at(options: Options, elapsed_us: int) -> Fraction:
    if options.mode is Mode.CONSTANT_ARRIVAL_RATE:
        return options.rate or Fraction()
    return _stretch(options, elapsed_us)[1]


def _stretch(options: Options, elapsed_us: int) -> tuple[Fraction, Fraction]:
    """Return the target before the current stage, and what is reached of its own."""
    *_, (before, value, _) = [(Fraction(), Fraction(), 0), *_passed(options, elapsed_us)]
    return before, value


def _passed(options: Options, elapsed_us: int) -> Iterator[tuple[Fraction, Fraction, int]]:
    """Yield the stages that have begun.

    Yields:
        The target before, what is reached of the next, and for how many microseconds.
    """
    before, left = Fraction(), elapsed_us
    for stage in options.stages:
        if stage.duration_us <= left:
            yield before, stage.target, stage.duration_us
            before, left = stage.target, left - stage.duration_us
        else:
            yield before, before + (stage.target - before) * left / stage.duration_us, left
            return

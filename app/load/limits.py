"""How much one execution may ask for, by the roles of who launches or scales it."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from app.errors import FieldError, InvalidRequest
from app.load.definition import SECOND_US, Mode, Options
from app.load.modes import ends_at, most_vus
from app.settings import Allowance

MOST_VUS: Final = 1_000_000
"""Of one execution, whoever launches it: what slaves count with has such a bound."""


def peak_rate(options: Options) -> Fraction:
    """Return the most iterations a second that an arrival mode asks for; 0 in other modes."""
    if options.mode is Mode.CONSTANT_ARRIVAL_RATE:
        rate = options.rate or Fraction()
    elif options.mode is Mode.RAMPING_ARRIVAL_RATE:
        rate = max((stage.target for stage in options.stages), default=Fraction())
    else:
        return Fraction()
    return rate * SECOND_US / options.time_unit_us


def faults_of(options: Options, allowance: Allowance) -> list[FieldError]:
    """Return where options go beyond what somebody may ask for.

    An execution that ends by its iterations is not refused for a time that nobody knows: it is
    ended after the longest one.
    """
    faults = []
    vus, most = most_vus(options), most_of(allowance)
    if vus > most:
        faults.append(FieldError("options.vus", f"may be {most} at most for you, and is {vus}"))
    rate = peak_rate(options)
    if allowance.load_rate is not None and rate > allowance.load_rate:
        text = f"may be {allowance.load_rate} a second at most for you, and is {float(rate):g}"
        faults.append(FieldError("options.rate", text))
    end, longest = ends_at(options), longest_us(allowance)
    if end is not None and longest is not None and end > longest:
        text = f"may be {longest / SECOND_US:g} s at most for you, and is {end / SECOND_US:g} s"
        faults.append(FieldError("options.duration", text))
    return faults


def most_of(allowance: Allowance) -> int:
    """Return how many virtual users somebody may have in one execution."""
    return MOST_VUS if allowance.load_vus is None else min(MOST_VUS, allowance.load_vus)


def longest_us(allowance: Allowance) -> int | None:
    """Return how long somebody may let one execution run; None for any time."""
    seconds = allowance.load_duration
    return None if seconds is None else round(seconds * SECOND_US)


def check_scale(options: Options, target_vus: int, allowance: Allowance) -> None:
    """Check a number of virtual users that somebody asks for.

    Raises:
        InvalidRequest: It is below 0, or more than they may have, or than the definition lets.
    """
    most = most_of(allowance)
    if options.mode is Mode.EXTERNALLY_CONTROLLED and options.max_vus is not None:
        most = min(most, options.max_vus)
    if not 0 <= target_vus <= most:
        fault = FieldError("target_vus", f"must be from 0 to {most}, got {target_vus}")
        raise InvalidRequest("The execution cannot be scaled like that.", fields=(fault,))

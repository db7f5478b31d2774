"""Whether a value keeps to the constraints of an input. Source: Alien4Cloud 3.8 REST, section 5."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_HOLDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equal": lambda value, operand: str(value) == str(operand),
    "greaterThan": lambda value, operand: float(value) > float(operand),
    "greaterOrEqual": lambda value, operand: float(value) >= float(operand),
    "lessThan": lambda value, operand: float(value) < float(operand),
    "lessOrEqual": lambda value, operand: float(value) <= float(operand),
    "inRange": lambda value, operand: float(operand[0]) <= float(value) <= float(operand[1]),
    "length": lambda value, operand: len(value) == int(operand),
    "minLength": lambda value, operand: len(value) >= int(operand),
    "maxLength": lambda value, operand: len(value) <= int(operand),
    "pattern": lambda value, operand: re.fullmatch(operand, str(value)) is not None,
    "validValues": lambda value, operand: str(value) in operand,
}


def all_hold(value: Any, constraints: Iterable[Mapping[str, Any]] | None) -> bool:
    """Return whether a value keeps to all constraints; keys that are none are passed over."""
    return all(
        _HOLDS[name](value, operand)
        for constraint in constraints or ()
        for name, operand in constraint.items()
        if name in _HOLDS
    )

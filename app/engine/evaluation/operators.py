"""The operators of expressions: Python's own, each with a bound, and on what JSON knows only."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2 import Undefined

from app.engine.evaluation.budget import Budget
from app.engine.evaluation.values import EvaluationError


def add(budget: Budget, left: Any, right: Any) -> Any:
    """Add numbers, or put texts or lists together."""
    if isinstance(left, str) and isinstance(right, str):
        budget.characters(len(left) + len(right))
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple):
        budget.items(len(left) + len(right))
    return budget.integer(left + right)


def modulo(budget: Budget, left: Any, right: Any) -> Any:
    """Return what remains of a division of numbers; of texts, ``%`` would be formatting."""
    return _arithmetic("%", operator.mod)(budget, left, right)


def compare(budget: Budget, name: str, left: Any, right: Any) -> bool:
    """Compare two values.

    Args:
        budget: Counts what that takes.
        name: ``eq ne lt lteq gt gteq in notin``, as Jinja2 names them in its trees.
        left: The left one; what is looked for.
        right: The right one; where it is looked for.
    """
    if name in _ORDERS:
        budget.compare(left, right)
        return bool(_ORDERS[name](left, right))
    _count_search(budget, left, right)
    return (left in right) is (name == "in")


def _count_search(budget: Budget, wanted: Any, container: Any) -> None:
    if isinstance(container, str) and isinstance(wanted, str):
        budget.search(container, wanted)
    elif isinstance(container, list | tuple):
        budget.measure(container)
        budget.items(len(container))


def _arithmetic(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def bounded(budget: Budget, left: Any, right: Any) -> Any:
        for side in (left, right):
            # What is undefined says so itself.
            if not isinstance(side, int | float | Undefined):
                raise EvaluationError(f"'{symbol}' takes numbers only")
        return budget.integer(compute(left, right))

    return bounded


_ORDERS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
}

BINARY: Final[Mapping[str, Callable[[Budget, Any, Any], Any]]] = {
    "+": add,
    "-": _arithmetic("-", operator.sub),
    "*": _arithmetic("*", operator.mul),
    "/": _arithmetic("/", operator.truediv),
    "//": _arithmetic("//", operator.floordiv),
    "%": _arithmetic("%", operator.mod),
}

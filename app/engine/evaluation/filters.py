"""The filters and tests of expressions: Jinja2's own, each with a bound.

Each takes the budget first, and then what Jinja2's takes. What a call can cost is counted before it
is made. Where Jinja2 writes a value as text, numbers are written in plain digits.

Sources: https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters and
``#list-of-builtin-tests`` (checked on 3.1.6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

from jinja2 import StrictUndefined
from jinja2.filters import FILTERS as _JINJA_FILTERS
from jinja2.filters import make_attrgetter
from jinja2.tests import TESTS as _JINJA_TESTS

from app.engine.evaluation import operators
from app.engine.evaluation.budget import Budget
from app.engine.evaluation.values import EvaluationError, get_item
from app.values import to_json, to_text

_MAX_PRECISION: Final = 400
_MAX_NUMBER_LENGTH: Final = 1000
_MAX_ATTRIBUTE_LENGTH: Final = 200

# All that the filters which look attributes up ask of Jinja2's environment.
_ENVIRONMENT: Final[Any] = SimpleNamespace(
    getitem=get_item, undefined=StrictUndefined, is_async=False
)


def _of_text(name: str, characters_a_step: int = 64) -> Callable[..., Any]:
    """Bound a filter of one text, whose result is about as long."""
    apply = _JINJA_FILTERS[name]

    def bounded(budget: Budget, value: Any) -> str:
        text = budget.text(value)
        budget.spend(len(text) // characters_a_step)
        result: str = apply(text)
        budget.characters(len(result))
        return result

    return bounded


def _of_number(name: str) -> Callable[..., Any]:
    """Bound a filter that reads a number."""
    apply = _JINJA_FILTERS[name]

    def bounded(budget: Budget, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, str) and len(value) > _MAX_NUMBER_LENGTH:
            raise EvaluationError(f"'{name}' reads texts of at most {_MAX_NUMBER_LENGTH:,} digits")
        return budget.integer(apply(value, *args, **kwargs))

    return bounded


def _extreme(name: str) -> Callable[..., Any]:
    """Bound ``min`` or ``max``."""
    apply = _JINJA_FILTERS[name]

    def bounded(
        budget: Budget, value: Any, case_sensitive: bool = False, attribute: Any = None
    ) -> Any:
        budget.measure(value)
        _count_look_ups(budget, value, attribute)
        return apply(_ENVIRONMENT, value, case_sensitive, attribute)

    return bounded


def _sort(
    budget: Budget,
    value: Any,
    reverse: bool = False,
    case_sensitive: bool = False,
    attribute: Any = None,
) -> list[Any]:
    # Each item is compared about as often as the number of items has bits.
    rounds = len(value).bit_length()
    budget.spend((budget.measure(value) // 64 + len(value)) * rounds // 16)
    _count_look_ups(budget, value, attribute)
    result: list[Any] = _JINJA_FILTERS["sort"](
        _ENVIRONMENT, value, reverse, case_sensitive, attribute
    )
    return result


def _count_look_ups(budget: Budget, value: Any, attribute: Any) -> None:
    keys = 1
    if isinstance(attribute, str):
        if len(attribute) > _MAX_ATTRIBUTE_LENGTH:
            raise EvaluationError(f"'attribute' is longer than {_MAX_ATTRIBUTE_LENGTH} characters")
        keys += attribute.count(".") + attribute.count(",")
    if attribute is not None:
        budget.spend(len(value) * keys)


def _items(budget: Budget, value: Any, attribute: Any) -> list[Any]:
    """Return the items of a collection, or what each has under the attribute."""
    budget.items(len(value))
    _count_look_ups(budget, value, attribute)
    items = list(value)
    return items if attribute is None else [*map(make_attrgetter(_ENVIRONMENT, attribute), items)]


def _join(budget: Budget, value: Any, d: Any = "", attribute: Any = None) -> str:
    texts = []
    length = 0
    for item in _items(budget, value, attribute):
        texts.append(budget.text(item))
        length += len(texts[-1])
        budget.spend()
    separator = budget.text(d)
    budget.characters(length + len(separator) * max(0, len(texts) - 1))
    return separator.join(texts)


def _sum(budget: Budget, value: Any, attribute: Any = None, start: Any = 0) -> Any:
    if isinstance(start, str):
        raise EvaluationError("'sum' adds no texts; 'join' does")
    total = start
    for item in _items(budget, value, attribute):
        total = operators.add(budget, total, item)
        budget.spend()
    return total


def _replace(budget: Budget, value: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, wanted, instead = budget.text(value), budget.text(old), budget.text(new)
    budget.search(text, wanted)
    found = text.count(wanted)
    most = -1 if count is None else count
    times = found if most < 0 else min(found, most)
    budget.characters(len(text) + times * (len(instead) - len(wanted)))
    return text.replace(wanted, instead, most)


def _round(budget: Budget, value: Any, precision: Any = 0, method: Any = "common") -> Any:
    if isinstance(precision, int | float) and abs(precision) > _MAX_PRECISION:
        raise EvaluationError(f"'round' takes a precision of at most {_MAX_PRECISION} digits")
    return budget.integer(_JINJA_FILTERS["round"](value, precision, method))


def _trim(budget: Budget, value: Any, chars: str | None = None) -> str:
    text = budget.text(value)
    budget.spend(len(text) * len(chars or " ") // 1024)
    return text.strip(chars)


def _urlencode(budget: Budget, value: Any) -> str:
    if isinstance(value, Mapping):
        budget.measure(value)
        value = [*value.items()]
    if isinstance(value, list | tuple):
        size = budget.measure(value)
        value = [(budget.text(name), budget.text(item)) for name, item in value]
    else:
        value = budget.text(value)
        size = len(value)
    # Each byte is looked up by itself, and one that is written as %XX takes three characters.
    budget.spend(size // 4)
    result: str = _JINJA_FILTERS["urlencode"](value)
    budget.characters(len(result))
    return result


def _json(write: Callable[[Any], str]) -> Callable[..., Any]:
    def bounded(budget: Budget, value: Any) -> str:
        budget.measure(value)
        text = write(value)
        budget.characters(len(text))
        return text

    return bounded


def _list(budget: Budget, value: Any) -> list[Any]:
    budget.items(len(value))
    return list(value)


def _plain(apply: Any) -> Callable[..., Any]:
    """Take a function that costs the same whatever it is given."""

    def free(_budget: Budget, *args: Any, **kwargs: Any) -> Any:
        return apply(*args, **kwargs)

    return free


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": _plain(abs),
    "capitalize": _of_text("capitalize"),
    "count": _plain(len),
    "d": _plain(_JINJA_FILTERS["default"]),
    "default": _plain(_JINJA_FILTERS["default"]),
    "first": _plain(partial(_JINJA_FILTERS["first"], _ENVIRONMENT)),
    "float": _of_number("float"),
    "int": _of_number("int"),
    "join": _join,
    "last": _plain(partial(_JINJA_FILTERS["last"], _ENVIRONMENT)),
    "length": _plain(len),
    "list": _list,
    "lower": _of_text("lower"),
    "max": _extreme("max"),
    "min": _extreme("min"),
    "replace": _replace,
    "round": _round,
    "sort": _sort,
    "string": _json(to_text),
    "sum": _sum,
    "title": _of_text("title", 4),
    "tojson": _json(to_json),
    "trim": _trim,
    "upper": _of_text("upper"),
    "urlencode": _urlencode,
}


def _is_lower(budget: Budget, value: Any) -> bool:
    return budget.text(value).islower()


def _is_upper(budget: Budget, value: Any) -> bool:
    return budget.text(value).isupper()


def _is_divisible(budget: Budget, value: Any, num: Any) -> bool:
    return bool(operators.modulo(budget, value, num) == 0)


def _is_even(budget: Budget, value: Any) -> bool:
    return _is_divisible(budget, value, 2)


def _is_odd(budget: Budget, value: Any) -> bool:
    return bool(operators.modulo(budget, value, 2) == 1)


def _is_in(budget: Budget, value: Any, container: Any) -> bool:
    return operators.compare(budget, "in", value, container)


def _comparison(name: str) -> Callable[..., Any]:
    def holds(budget: Budget, value: Any, other: Any) -> Any:
        return operators.compare(budget, name, value, other)

    return holds


_SAME_COST: Final = (
    "boolean", "defined", "false", "float", "integer", "iterable", "mapping", "none", "number",
    "sameas", "sequence", "string", "true", "undefined",
)  # fmt: skip
_COMPARISONS: Final = {
    "eq": ("==", "eq", "equalto"),
    "ne": ("!=", "ne"),
    "gt": (">", "gt", "greaterthan"),
    "gteq": (">=", "ge"),
    "lt": ("<", "lt", "lessthan"),
    "lteq": ("<=", "le"),
}

TESTS: Final[Mapping[str, Callable[..., Any]]] = {
    **{name: _plain(_JINJA_TESTS[name]) for name in _SAME_COST},
    **{name: _comparison(how) for how, names in _COMPARISONS.items() for name in names},
    "divisibleby": _is_divisible,
    "even": _is_even,
    "in": _is_in,
    "lower": _is_lower,
    "odd": _is_odd,
    "upper": _is_upper,
}

"""Immutable dataclasses as JSON, by their annotations, in both directions.

A field that has its default is left out. Of a union of dataclasses, ``is`` tells which one it is.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from fractions import Fraction
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from app.domain import JSON

T = TypeVar("T")

_CLASS = "is"

_Reader = Callable[[Any], Any]


def dump(value: Any) -> JSON:
    """Write a value as JSON.

    Args:
        value: A dataclass of plain values, enums, fractions, tuples, mappings, other dataclasses
            and JSON.
    """
    if is_dataclass(value):
        cls: Any = type(value)
        return {_CLASS: cls.__name__} | {
            name: dump(getattr(value, name))
            for name, default in _defaults(cls).items()
            if getattr(value, name) != default
        }
    if isinstance(value, Fraction | Enum):
        return str(value)
    if isinstance(value, tuple):
        return [dump(item) for item in value]
    return value


def load(cls: type[T], value: JSON) -> T:
    """Read what :func:`dump` has written.

    Raises:
        ValueError: It is something else, or of another class.
    """
    hint: Any = cls
    try:
        loaded: T = _reader(hint)(value)
    except (TypeError, AttributeError, ArithmeticError, LookupError, RecursionError) as exc:
        raise ValueError(f"is no {cls.__name__}: {exc}") from exc
    return loaded


@cache
def _defaults(cls: type) -> dict[str, Any]:
    return {field.name: _default(field) for field in fields(cls)}


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


@cache
def _reader(hint: Any) -> _Reader:
    """Return the function that reads a value of a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value: value
    if origin in {Union, types.UnionType}:
        return _union_reader(arguments)
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin is Mapping:
        return _mapping_reader(*arguments)
    return _dataclass_reader(hint) if is_dataclass(hint) else _scalar_reader(hint)


def _scalar_reader(hint: Any) -> _Reader:
    if issubclass(hint, Fraction | Enum):
        return lambda value: hint(_text(value))

    def read(value: Any) -> Any:
        if type(value) is not hint:
            raise ValueError(f"must be {hint.__name__}, got {type(value).__name__}")
        return value

    return read


def _tuple_reader(arguments: tuple[Any, ...]) -> _Reader:
    if arguments[-1] is Ellipsis:
        of_all = _reader(arguments[0])
        return lambda value: tuple(of_all(item) for item in _plain_list(value))
    each = [_reader(argument) for argument in arguments]
    return lambda value: tuple(
        read(item) for read, item in zip(each, _plain_list(value), strict=True)
    )


def _mapping_reader(_: Any, of_values: Any) -> _Reader:
    read = _reader(of_values)
    return lambda value: {_text(name): read(item) for name, item in value.items()}


def _union_reader(arguments: tuple[Any, ...]) -> _Reader:
    by_name = {getattr(argument, "__name__", ""): argument for argument in arguments}
    plain = {str, int, types.NoneType}.intersection(arguments)
    text_or_class = next((argument for argument in arguments if argument not in plain), str)

    def read(value: Any) -> Any:
        if isinstance(value, Mapping):
            return _reader(by_name[value[_CLASS]])(value)
        if type(value) in plain:
            return value
        return _reader(text_or_class)(value)

    return read


def _dataclass_reader(cls: Any) -> _Reader:
    hints = get_type_hints(cls)

    def read(value: Any) -> Any:
        if value[_CLASS] != cls.__name__:
            raise ValueError(f"must be {cls.__name__}")
        # The readers are made when they are needed: classes may hold themselves.
        return cls(**{n: _reader(hints[n])(v) for n, v in value.items() if n != _CLASS})

    return read


def _plain_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("must be a list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("must be text")
    return value

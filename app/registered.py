"""Parts that the settings name: by a word from a table, or as ``package.module:Name``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from app.errors import ConfigError


def import_named(name: str, table: Mapping[str, str], expected: str) -> Any:
    """Import what a name stands for, which nothing imports before it is configured.

    Args:
        name: A key of the table, or ``package.module:Name``.
        table: ``package.module:Name`` by word.
        expected: What the name should have been, for people.

    Raises:
        ConfigError: There is no such thing, or its module fails, of which the message says why.
    """
    module, _, attribute = table.get(name, name).partition(":")
    if not module or module.startswith("."):
        raise ConfigError(expected)
    try:
        found = import_module(module)
    except Exception as exc:  # whatever the module of somebody else does while it is imported
        if _is_missing(module, exc):
            raise ConfigError(expected, detail=str(exc)) from exc
        sentence = f"names a module that cannot be imported: {type(exc).__name__}: {exc}"
        raise ConfigError(sentence) from exc
    try:
        return getattr(found, attribute)
    except AttributeError as exc:
        raise ConfigError(expected, detail=str(exc)) from exc


def import_class(name: str, table: Mapping[str, str], base: type, expected: str) -> Any:
    """Import a class; see :func:`import_named`.

    Args:
        name: A key of the table, or ``package.module:Class``.
        table: ``package.module:Class`` by word.
        base: What the class must be derived from.
        expected: What the name should have been, for people.

    Raises:
        ConfigError: There is no such class.
    """
    found = import_named(name, table, expected)
    if not isinstance(found, type) or not issubclass(found, base):
        raise ConfigError(expected, detail=f"{name} is no {base.__name__}")
    return found


def _is_missing(module: str, exc: Exception) -> bool:
    """Return whether a module itself is not there, and not something that it imports."""
    if not isinstance(exc, ModuleNotFoundError) or exc.name is None:
        return False
    return module == exc.name or module.startswith(f"{exc.name}.")

"""Options that are given as ``KEY=VALUE``."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.cli.codes import Failure
from slipway.cli.output import shown


def pair(text: str, option: str, what: str = "pair") -> tuple[str, str]:
    """Return a key and its value.

    Args:
        text: What was given.
        option: By which one.
        what: Word for it, for people.

    Raises:
        Failure: It is no pair.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise Failure(f'{option} "{shown(text)}" is no {what}: KEY=VALUE is needed.')
    return key, value


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """Return keys with their values.

    Raises:
        Failure: One is no pair, or a key stands twice.
    """
    found: dict[str, str] = {}
    for each in given:
        key, value = pair(each, option)
        if key in found:
            raise Failure(f"{option} gives '{key}' twice.")
        found[key] = value
    return found

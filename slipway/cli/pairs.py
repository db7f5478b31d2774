"""Options that are given as ``KEY=VALUE``."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.cli.codes import Failure


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """Return keys with their values.

    Raises:
        Failure: One is no pair, or a key stands twice.
    """
    found: dict[str, str] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or not key:
            raise Failure(f"{option} takes KEY=VALUE, and not '{each}'.")
        if key in found:
            raise Failure(f"{option} gives '{key}' twice.")
        found[key] = value
    return found

"""The bitmask of levels, as the root API takes it."""

from __future__ import annotations

from typing import Final

from marshmallow import validate

from app.domain import ALL_LEVELS, DEFAULT_LEVELS, Level
from app.settings.schema import WholeNumber

_LARGEST: Final = 255
"""The server that this API comes from read the mask as 8 bits."""


def levels_field() -> WholeNumber:
    """Make the field of a query for the mask."""
    return WholeNumber(
        load_default=0,
        validate=validate.Range(0, _LARGEST),
        metadata={
            "description": "DEBUG=1, INFO=2, WARN=4, ERROR=8; other bits mean nothing, and none of "
            "these means INFO, WARN, ERROR"
        },
    )


def levels_of(mask: int) -> Level:
    """Return the levels that a mask lets through."""
    return Level(mask) & ALL_LEVELS or DEFAULT_LEVELS

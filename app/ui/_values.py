"""Inputs and outputs as pages show them: each within bounds, whatever it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import orjson

from app.domain import JSON
from app.observability import is_secret_name

MOST: Final = 200
"""Values that are shown; of the others it is told how many there are."""
LONGEST: Final = 20_000
"""Characters of one value."""
_FOLDED: Final = 400
"""Characters from which a value is folded."""
_FOLDED_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as a page shows it.

    Attributes:
        text: The value, or the beginning of a long one.
        kind: ``text``, ``number``, ``list``...: what the value is, in words.
        size: Characters of the whole.
        is_secret: It is called like a secret, and so is not shown before somebody asks for it.
    """

    name: str
    text: str
    kind: str
    size: int
    is_secret: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether there is more of it than is shown."""
        return self.size > len(self.text)

    @property
    def is_long(self) -> bool:
        """Whether it is folded at first."""
        return self.is_secret or len(self.text) > _FOLDED or self.text.count("\n") > _FOLDED_LINES


@dataclass(frozen=True, slots=True)
class ShownValues:
    """Values as a page shows them.

    Attributes:
        left: How many more there are.
    """

    values: Sequence[Shown]
    left: int


def shown_values(values: Mapping[str, JSON]) -> ShownValues:
    """Return named values as a page shows them, in their order."""
    told = tuple(_shown(name, value) for name, value in islice(values.items(), MOST))
    return ShownValues(told, max(0, len(values) - MOST))


def _shown(name: str, value: JSON) -> Shown:
    text = value if isinstance(value, str) else _written(value)
    return Shown(name, text[:LONGEST], _kind(value), len(text), is_secret_name(name))


def _written(value: JSON) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _kind(value: JSON) -> str:
    if isinstance(value, bool):
        return "yes or no"
    if isinstance(value, Mapping):
        return f"object, {len(value):,} entries"
    if isinstance(value, list):
        return f"list, {len(value):,} items"
    if value is None:
        return "nothing"
    return "text" if isinstance(value, str) else "number"

"""What is not the same in two executions, told within bounds and without secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from app.domain import JSON, LogEntry
from app.observability import is_secret_name
from app.services.hiding import HIDDEN, Hiding

MOST_VALUES: Final = 200
"""Values of inputs or outputs that are told to differ; of the others it is told that there are."""
LONGEST_VALUE: Final = 1000
"""Characters of a value; what is longer is told as text, which is cut."""
LONGEST_LINE: Final = 2000
"""Characters of what a log entry says, where it is told among other things."""
MISSING: Final = object()
"""In place of a value that one of the two does not have."""


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A value that is another one, or that only one of the two has.

    Attributes:
        before: In the one; ``MISSING`` where it has none.
        after: In the other.
    """

    name: str
    before: JSON
    after: JSON


def changed_values(
    before: Mapping[str, JSON], after: Mapping[str, JSON]
) -> tuple[tuple[ValueChange, ...], int]:
    """Compare values by name.

    Returns:
        The first that differ, by name and fit to be told, and how many differ.
    """
    names = sorted({*before, *after})
    differing = [name for name in names if not _same(before, after, name)]
    told = (_change(name, before, after) for name in islice(differing, MOST_VALUES))
    return tuple(told), len(differing)


def _same(before: Mapping[str, JSON], after: Mapping[str, JSON], name: str) -> bool:
    if name not in before or name not in after or before[name] != after[name]:
        return False
    # To Python 1 and True are the same, and to a workflow they are not.
    one, other = (json.dumps(side[name], sort_keys=True) for side in (before, after))
    return one == other


def _change(name: str, before: Mapping[str, JSON], after: Mapping[str, JSON]) -> ValueChange:
    one, other = (told(name, side[name]) if name in side else MISSING for side in (before, after))
    return ValueChange(name, one, other)


def told(name: str, value: JSON) -> JSON:
    """Return a value as others may be shown it: without secrets, and not too long.

    Args:
        name: What it is called; nothing is told of what is called like a secret.
        value: The value.
    """
    if is_secret_name(name):
        return HIDDEN
    shown = Hiding().value(value)  # before it is cut: half of a secret does not look like one
    if isinstance(shown, str):
        return cut(shown, LONGEST_VALUE)
    if isinstance(shown, Mapping | list):
        written = json.dumps(shown, ensure_ascii=False)
        return cut(written, LONGEST_VALUE) if len(written) > LONGEST_VALUE else shown
    return shown


def cut(text: str, longest: int) -> str:
    """Return a text, or the beginning of one that is too long."""
    return f"{text[:longest]}..." if len(text) > longest else text


def cut_entry(entry: LogEntry) -> LogEntry:
    """Return a log entry, of a long one its beginning."""
    if len(entry.content) <= LONGEST_LINE:
        return entry
    return replace(entry, content=cut(entry.content, LONGEST_LINE))


def within(entries: Iterator[LogEntry], most_bytes: int) -> Iterator[LogEntry]:
    """Yield log entries up to the one that reaches a number of bytes, about."""
    for entry in entries:
        yield entry
        most_bytes -= len(entry.content)
        if most_bytes <= 0:
            return

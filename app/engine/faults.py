"""Faults of a document: where they are, and how that is written for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from app.errors import FieldError, InvalidDefinition

Path = tuple[str | int, ...]
"""Keys and indices that lead from the root of a document to one of its values."""

_MAX_NAME_LENGTH: Final = 100


class Fault(NamedTuple):
    """One fault: the path of the value, and what is wrong with it or was expected."""

    path: Path
    message: str


def to_field_error(fault: Fault, lines: Mapping[Path, int] | None = None) -> FieldError:
    """Put a fault into words for a caller.

    Args:
        fault: What was found.
        lines: Line of each path, where there is a text. What is missing has no line of its own;
            then the line of what should hold it is told.
    """
    path = fault.path
    while lines and path and path not in lines:
        path = path[:-1]
    line = lines.get(path) if lines else None
    message = f"{fault.message} (line {line})" if line else fault.message
    return FieldError(path_text(fault.path), message)


def invalid_definition(
    faults: Iterable[Fault], lines: Mapping[Path, int] | None = None
) -> InvalidDefinition:
    """Make the error that holds all faults of a definition."""
    fields = tuple(dict.fromkeys(to_field_error(fault, lines) for fault in faults))
    count = "one fault" if len(fields) == 1 else f"{len(fields)} faults"
    return InvalidDefinition(f"The workflow definition has {count}.", fields=fields)


def path_text(path: Path) -> str:
    """Write a path as people do: ``steps[2].needs[0]``."""
    text = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part[:_MAX_NAME_LENGTH]}" for part in path
    )
    return text.removeprefix(".")

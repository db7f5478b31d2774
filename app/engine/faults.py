"""Faults of a workflow definition, and how they are written for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.documents import Fault, Path, path_text, to_field_error
from app.errors import InvalidDefinition

__all__ = ["Fault", "Path", "invalid_definition", "path_text", "to_field_error"]


def invalid_definition(
    faults: Iterable[Fault], lines: Mapping[Path, int] | None = None
) -> InvalidDefinition:
    """Make the error that holds all faults of a definition."""
    fields = tuple(dict.fromkeys(to_field_error(fault, lines) for fault in faults))
    count = "one fault" if len(fields) == 1 else f"{len(fields)} faults"
    return InvalidDefinition(f"The workflow definition has {count}.", fields=fields)

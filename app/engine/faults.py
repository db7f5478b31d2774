"""Faults of a workflow definition, and how they are written for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.documents import Fault, Path, path_text, to_field_error
from app.errors import MAX_FIELDS, InvalidDefinition

__all__ = ["Fault", "Path", "invalid_definition", "path_text", "to_field_error"]


def invalid_definition(
    faults: Iterable[Fault], lines: Mapping[Path, int] | None = None
) -> InvalidDefinition:
    """Make the error that holds the faults of a definition, and their number."""
    found = list(dict.fromkeys(faults))
    count = "one fault" if len(found) == 1 else f"{len(found)} faults"
    fields = [to_field_error(fault, lines) for fault in found[:MAX_FIELDS]]
    more = len(found) - len(fields)
    return InvalidDefinition(f"The workflow definition has {count}.", fields=fields, more=more)

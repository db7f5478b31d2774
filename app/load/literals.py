"""Texts of a definition that look like references, and are written as other systems write theirs.

A reference is ``${name}`` here. What an author of the engine's definitions would write would reach
the servers as it is. In scripts all syntax is JavaScript's own; the values of ``variables`` are put
in as they are, so that a text that is meant like this can stand there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from app import look_alikes
from app.documents import Fault, strings
from app.domain import JSON

_AS_THEY_ARE: Final = frozenset({"variables", "name", "description", "id", "script"})


def violations(document: Mapping[str, JSON]) -> Iterator[Fault]:
    """Find what looks like a reference and is none; wrong shapes are passed over."""
    variables = document.get("variables")
    known = frozenset(variables) if isinstance(variables, Mapping) else frozenset()
    for path, text in strings(document, (), _AS_THEY_ARE):
        found = look_alikes.find(text, expressions=True)
        if found is None or _may_be_one(found, known):
            continue
        name = found.input if found.input in known else "name"
        yield Fault(
            path,
            f"holds '{found.text}', which is no reference; write '${{{name}}}' for a variable, and "
            "for this very text a variable that holds it",
        )


def _may_be_one(found: look_alikes.LookAlike, known: frozenset[str]) -> bool:
    """Return whether it is a reference, to a variable that is called like the engine's words."""
    if not found.text.startswith("${") or found.text.startswith("${{"):
        return False
    return bool(known & {"inputs", "steps", "execution"}) or found.input not in known

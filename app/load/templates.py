"""Texts with ``${name}`` in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from app.domain import JSON
from app.load.faults import EXECUTION, StepFailed
from app.load.variables import MAX_LENGTH, MISSING, Reference, Scope, text_of

_REFERENCE: Final = re.compile(r"\$\{\s*([^${}\s](?:[^${}]{0,254}[^${}\s])?)\s*\}")

Render = Callable[[Scope], str]
Evaluate = Callable[[Scope], JSON]


def names(text: str) -> list[str]:
    """List the names that a template refers to."""
    return _REFERENCE.findall(text)


def names_within(value: JSON) -> Iterator[str]:
    """Return the names that the texts of a JSON value refer to."""
    if isinstance(value, str):
        yield from names(value)
    elif isinstance(value, list):
        for item in value:
            yield from names_within(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from names_within(item)


def compile_text(text: str) -> str | Render:
    """Prepare a template; a text without references comes back as it is.

    A reference to what nothing has stays as it is written.
    """
    pieces = _split(text)
    if len(pieces) == 1:
        return text

    def render(scope: Scope) -> str:
        written = [piece if isinstance(piece, str) else _written(scope, *piece) for piece in pieces]
        # Before the text is there: a few references may be to all that there is.
        if sum(map(len, written)) > MAX_LENGTH:
            raise StepFailed(EXECUTION, f"a text is longer than {MAX_LENGTH} characters")
        return "".join(written)

    return render


def compile_value(value: JSON) -> Evaluate:
    """Prepare a JSON value, whose texts are templates.

    A text that is one reference and nothing else becomes the value with its type.
    """
    if isinstance(value, str):
        return _compile_scalar(value)
    if isinstance(value, list):
        items = [compile_value(item) for item in value]
        return lambda scope: [item(scope) for item in items]
    if isinstance(value, dict):
        fields = {name: compile_value(item) for name, item in value.items()}
        return lambda scope: {name: item(scope) for name, item in fields.items()}
    return lambda _: value


def is_constant(value: JSON) -> bool:
    """Return whether a JSON value has no reference in its texts."""
    return next(names_within(value), None) is None


def _compile_scalar(text: str) -> Evaluate:
    match = _REFERENCE.fullmatch(text)
    if match is None:
        rendered = compile_text(text)
        return rendered if callable(rendered) else lambda _: rendered
    reference = Reference(match[1])

    def evaluate(scope: Scope) -> JSON:
        value = scope.find(reference)
        return text if value is MISSING else value

    return evaluate


def _split(text: str) -> list[str | tuple[Reference, str]]:
    pieces: list[str | tuple[Reference, str]] = []
    position = 0
    for match in _REFERENCE.finditer(text):
        pieces += [text[position : match.start()], (Reference(match[1]), match[0])]
        position = match.end()
    return [*pieces, text[position:]]


def _written(scope: Scope, reference: Reference, source: str) -> str:
    value = scope.find(reference)
    return source if value is MISSING else text_of(value)

"""The documents that workflow definitions are: reading them."""

from __future__ import annotations

from collections.abc import Callable

from app import documents
from app.domain import JSON
from app.engine.faults import Fault, Path
from app.errors import InvalidDefinition


def read(
    text: str | bytes, keeps_text: Callable[[Path], bool] = lambda _: False
) -> tuple[JSON, list[Fault]]:
    """Read YAML or JSON; see :func:`app.documents.read`.

    Returns:
        The content as JSON, and the faults that do not hinder reading on.

    Raises:
        InvalidDefinition: It is no document; see :func:`app.documents.read`.
    """
    try:
        document = documents.read(text, keeps_text)
    except documents.Unreadable as exc:
        raise InvalidDefinition(
            "The workflow definition has one fault.", fields=(exc.fault,)
        ) from exc
    return document.content, document.faults

"""Paths into JSON: the part of JSONPath that names one place.

``$``, ``$.name``, ``$['any name']`` and ``$[0]`` (from the end with a minus sign), one behind
another. What could find several places, such as ``*``, ``..`` and filters, is left out.

Source: https://www.rfc-editor.org/rfc/rfc9535#section-2 (singular queries).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from app.domain import JSON

MAX_LENGTH: Final = 500
"""Longest path, in characters."""

ABSENT: Final = object()
"""What stands at a place that there is not."""

_SEGMENT: Final = re.compile(
    r"\.(?P<name>[^\W\d][\w-]*+)"
    r"|\[\s*'(?P<single>(?:[^'\\]|\\.)*+)'\s*\]"
    r'|\[\s*"(?P<double>(?:[^"\\]|\\.)*+)"\s*\]'
    r"|\[\s*(?P<index>-?[0-9]{1,9})\s*\]",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)

Segment = str | int


def parse_path(text: str) -> tuple[Segment, ...]:
    """Take a path apart.

    Args:
        text: A path; ``$.`` in front of a first name may be left out.

    Raises:
        ValueError: It is none, or one that could find several places.
    """
    path = text.strip()
    if not path.startswith("$"):
        path = f"${path}" if path.startswith("[") else f"$.{path}"
    segments: list[Segment] = []
    position = 1
    while position < len(path):
        match = _SEGMENT.match(path, position) if len(path) <= MAX_LENGTH else None
        if match is None:
            raise ValueError(
                f"must be a JSONPath to one place, such as $.items[0].id, of at most {MAX_LENGTH} "
                "characters"
            )
        segments.append(_segment(match))
        position = match.end()
    return tuple(segments)


def _segment(match: re.Match[str]) -> Segment:
    if match["index"] is not None:
        return int(match["index"])
    if match["name"] is not None:
        return match["name"]
    quoted = match["single"] if match["single"] is not None else match["double"]
    return _ESCAPE.sub(r"\1", quoted)


def find(value: JSON, path: tuple[Segment, ...]) -> Any:
    """Return what stands at a path of a value, :data:`ABSENT` if there is no such place."""
    for segment in path:
        if isinstance(segment, str):
            value = value.get(segment, ABSENT) if isinstance(value, Mapping) else ABSENT
        elif isinstance(value, list) and -len(value) <= segment < len(value):
            value = value[segment]
        else:
            return ABSENT
    return value

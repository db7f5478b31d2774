"""Labels as the lines of a text field: ``key=value``, one a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.errors import FieldError
from app.labels import MOST_LABELS

_MOST_SHOWN: Final = 40


def label_lines(labels: Mapping[str, str]) -> str:
    """Write labels as lines."""
    return "\n".join(f"{key}={value}" for key, value in labels.items())


def read_labels(text: str) -> tuple[dict[str, str] | None, list[FieldError]]:
    """Read lines.

    Returns:
        The labels, None for none at all; and what is wrong with the lines.
    """
    labels: dict[str, str] = {}
    faults = []
    lines = [line.strip() for line in text.splitlines()]
    for number, line in enumerate(lines[: 2 * MOST_LABELS], 1):
        key, equals, value = line.partition("=")
        key = key.strip()
        if not line:
            continue
        if not equals:
            faults.append(FieldError("labels", f"line {number} must be key=value"))
        elif key in labels:
            faults.append(
                FieldError("labels", f"line {number} has the key {key[:_MOST_SHOWN]} once more")
            )
        else:
            labels[key] = value.strip()
    if len(lines) > 2 * MOST_LABELS:
        faults.append(FieldError("labels", f"must be at most {MOST_LABELS}"))
    return labels or None, faults

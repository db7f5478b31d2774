"""The name of a task, as the root API takes it to show what that one says alone."""

from __future__ import annotations

from marshmallow import fields, validate

_LONGEST = 255


def task_field() -> fields.String:
    """Make the field of a query for the task."""
    return fields.String(
        validate=validate.Length(max=_LONGEST),
        metadata={
            "description": "Only what this task says, on whatever follows; empty for what the "
            "execution says itself"
        },
    )

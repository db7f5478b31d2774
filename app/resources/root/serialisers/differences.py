"""What differs between two executions, on the wire."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
import orjson
from marshmallow import fields

from app.domain import JSON
from app.log_lines import safe_text
from app.services.definition_texts import DefinitionChange
from app.services.differences import LONGEST_VALUE, MISSING, ValueChange


class ValueChangeSchema(ma.Schema):
    """A value that differs."""

    name = fields.String(required=True, metadata={"example": "who"})
    before = fields.Raw(
        allow_none=True,
        metadata={
            "description": f"Missing where there is none; longer than {LONGEST_VALUE} characters: "
            "its beginning, as text; `***` in place of what is called, or looks, like a secret",
            "example": "world",
        },
    )
    after = fields.Raw(
        allow_none=True, metadata={"description": "As `before`", "example": "everybody"}
    )


class DefinitionChangeSchema(ma.Schema):
    """Whether both ran the same definition."""

    changed = fields.Boolean(
        required=True,
        allow_none=True,
        metadata={"description": "null where nobody knows, as of what is defined elsewhere"},
    )
    before = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Number of the version; null where it was not uploaded"},
    )
    after = fields.Integer(required=True, allow_none=True)


def change_json(change: ValueChange) -> dict[str, Any]:
    """Write a value that differs."""
    sides = {"before": change.before, "after": change.after}
    return {
        "name": change.name,
        **{side: value for side, value in sides.items() if value is not MISSING},
    }


def change_line(change: ValueChange) -> str:
    """Write a value that differs as a line of text."""
    return safe_text(f"{change.name}: {_written(change.before)} -> {_written(change.after)}")


def definition_json(change: DefinitionChange) -> dict[str, Any]:
    """Write whether two executions ran the same definition."""
    return {"changed": change.changed, "before": change.before, "after": change.after}


def _written(value: JSON) -> str:
    if value is MISSING:
        return "-"
    return value if isinstance(value, str) else orjson.dumps(value).decode()

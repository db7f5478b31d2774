"""Lists that are read from a cursor on: each page says where the next one begins."""

from __future__ import annotations

from typing import Final

from marshmallow import fields, validate

from app.resources._arguments import ArgumentsSchema
from app.settings.schema import WholeNumber

CURSOR: Final = "`next` of the page before"
"""What a cursor is, in the document of an API."""

_USUAL_PAGE: Final = 100
_LARGEST_PAGE: Final = 1000
_LARGEST_NUMBER: Final = 2**63 - 1
_NUMBER: Final = r"^[1-9][0-9]{0,18}\Z"


class PageSizeArgsSchema(ArgumentsSchema):
    """How much of a list; whoever says what a cursor is adds ``cursor``."""

    page_size = WholeNumber(load_default=_USUAL_PAGE, validate=validate.Range(1, _LARGEST_PAGE))


class CursorPageArgsSchema(PageSizeArgsSchema):
    """Which stretch of a list whose entries have numbers."""

    cursor = WholeNumber(
        validate=validate.Range(1, _LARGEST_NUMBER),
        metadata={
            "type": "string", "pattern": _NUMBER, "example": "4711", "description": CURSOR,
        },
    )  # fmt: skip


def next_cursor(remark: str = "") -> fields.String:
    """Return the field of a page that says where the next one begins.

    Args:
        remark: What is to be known beside that.
    """
    text = f"`cursor` of the next page; null at the end{remark}"
    return fields.String(required=True, allow_none=True, metadata={"description": text})

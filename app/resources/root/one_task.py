"""Which part of a log: what one task says alone, what a pattern matches, and the end of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import request
from marshmallow import fields, validate

from app.errors import FieldError, InvalidRequest
from app.resources._api import LARGEST_INDEX
from app.resources.root.examples import TASK
from app.services.grep import LONGEST_PATTERN
from app.settings.schema import WholeNumber

LONGEST_TASK = 255
"""Characters of the name of a task."""


def task_field() -> fields.String:
    """Make the field of a query for the task."""
    return fields.String(
        validate=validate.Length(max=LONGEST_TASK),
        metadata={
            "example": TASK,
            "description": "Only what this task says; empty for what the execution says itself",
        },
    )


def grep_field() -> fields.String:
    """Make the field of a query for a pattern."""
    return fields.String(
        validate=validate.Length(min=1, max=LONGEST_PATTERN),
        metadata={
            "example": "(?i)error|warn",
            "description": "Only entries whose content this regular expression matches somewhere, "
            "by the syntax of RE2: no backreferences, no look-around",
        },
    )


def tail_field() -> WholeNumber:
    """Make the field of a query for how much of the end of a log somebody wants."""
    return WholeNumber(
        validate=validate.Range(0, LARGEST_INDEX),
        metadata={
            "description": "Begin so many entries, of those let through, before the end; in place "
            "of `from` and `after`"
        },
    )


def refuse_two_beginnings(args: Mapping[str, Any]) -> None:
    """Make sure that the current request says in one way only where to begin.

    Raises:
        InvalidRequest: It says where to begin from both ends.
    """
    if args.get("tail") is not None and not request.args.keys().isdisjoint(("from", "after")):
        fault = FieldError("tail", "must stand without from and after")
        raise InvalidRequest("There are two places to begin at.", fields=(fault,))

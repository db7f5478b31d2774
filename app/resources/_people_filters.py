"""Filters of executions as people choose them on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import marshmallow as ma
from marshmallow import fields, validate

from app.domain import ExecutionStatus
from app.errors import FieldError, InvalidRequest
from app.labels import MOST_LABELS
from app.resources._api import Name
from app.resources._listing import LABEL, Since
from app.resources._repeated import Repeated

OPEN: Final = "open"
ENDED: Final = "ended"
ALL: Final = "all"
OLDEST: Final = "oldest"


class _PeopleFiltersSchema(ma.Schema):
    class Meta:
        """What is not known is left alone."""

        unknown = ma.EXCLUDE

    whose = fields.String(validate=validate.OneOf(["mine", ALL]))
    owner = Name()
    state = Repeated(
        fields.String(validate=validate.OneOf([OPEN, ENDED, *ExecutionStatus.__members__]))
    )
    workflow = Name()
    since = Since("Launched since then")
    label = Repeated(
        fields.String(
            validate=validate.Regexp(
                LABEL, error="must be a label such as grid=fine, or the key of one"
            )
        ),
        validate=validate.Length(max=MOST_LABELS),
    )
    q = Name()
    order = fields.String(validate=validate.OneOf(["newest", OLDEST]))
    page = fields.Integer(validate=validate.Range(1, 10_000_000))


def read_filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Read filters.

    Raises:
        InvalidRequest: With every fault.
    """
    try:
        return dict(_PeopleFiltersSchema().load(given))
    except ma.ValidationError as exc:
        found = exc.normalized_messages()  # type: ignore[no-untyped-call]
        faults = [FieldError(str(n), str(text)) for n, texts in found.items() for text in texts]
        raise InvalidRequest("These filters cannot be used.", fields=tuple(faults)) from exc

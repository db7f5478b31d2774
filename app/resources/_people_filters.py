"""Filters of executions as people choose them on a page."""

from __future__ import annotations

from typing import Final

import marshmallow as ma
from marshmallow import fields, validate

from app.domain import ExecutionStatus
from app.labels import MOST_LABELS
from app.resources._api import Name
from app.resources._listing import LABEL, NEWEST, OLDEST, Since
from app.resources._repeated import Repeated

OPEN: Final = "open"
ENDED: Final = "ended"
ALL: Final = "all"


class PeopleFiltersSchema(ma.Schema):
    """Which executions."""

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
    order = fields.String(validate=validate.OneOf([NEWEST, OLDEST]))
    page = fields.Integer(validate=validate.Range(1, 10_000_000))

"""Operations on the wire."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import fields, validate

from app.domain import OperationState
from app.resources._api import Timestamp
from app.resources._serialiser import Serialiser
from app.resources.root.places import OPERATION


class OperationSchema(ma.Schema):
    """Something that was asked for, and that a conductor carries out."""

    id = fields.String(required=True, metadata=OPERATION.schema())
    kind = fields.String(required=True, metadata={"example": "ssh_keys.test"})
    subject = fields.String(required=True, metadata={"description": "What it is about"})
    state = fields.String(
        required=True, validate=validate.OneOf([str(state) for state in OperationState])
    )
    result = fields.Raw(
        required=True, allow_none=True,
        metadata={"description": "What came out, once it is `DONE`"},
    )  # fmt: skip
    error = fields.String(
        required=True, allow_none=True,
        metadata={"description": "Why it could not be carried out, once it is `FAILED`"},
    )  # fmt: skip
    error_code = fields.String(
        required=True, allow_none=True,
        metadata={"description": "As `code` of a problem document"},
    )  # fmt: skip
    made_at = Timestamp(required=True)
    finished_at = Timestamp(required=True, allow_none=True)


operation_json = Serialiser(OperationSchema)

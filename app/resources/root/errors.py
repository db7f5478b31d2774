"""The form of errors of the root API: problem documents that the ``waas`` client can read, too."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields

from app.resources import _problem
from app.resources._errors import Failure
from app.resources._problem import ProblemRenderer, sentence


class WaasErrorSchema(ma.Schema):
    """The error in the form that the `waas` client reads."""

    id = fields.String()
    status = fields.Integer()
    title = fields.String()
    detail = fields.String()


class ProblemSchema(_problem.ProblemSchema):
    """An error (RFC 9457)."""

    errors = fields.List(fields.Nested(WaasErrorSchema), required=True)


class RootErrors(ProblemRenderer):
    """Adds ``errors``, which repeats the document in the form that the ``waas`` client reads.

    That client shows the ``detail`` of each and nothing else: so that is a whole sentence, with the
    field.
    """

    schema: ClassVar[type[ma.Schema]] = ProblemSchema

    def body(self, failure: Failure) -> dict[str, Any]:
        """Return the members of the document."""
        body = super().body(failure)
        status, title = body["status"], body["title"]
        texts = [sentence(fault) for fault in failure.fields] or [failure.detail]
        errors = [
            {"id": failure.code, "status": status, "title": title, "detail": text} for text in texts
        ]
        return {**body, "errors": errors}

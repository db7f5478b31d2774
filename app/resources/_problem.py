"""Errors as problem documents (RFC 9457), unless a dialect has a form of its own."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma
from flask import Response, json
from marshmallow import fields

from app.documents import line_of
from app.errors import FieldError
from app.resources._dialect import ErrorRenderer
from app.resources._errors import Failure

CONTENT_TYPE = "application/problem+json"

_VERBS = frozenset({"must", "is", "are", "has", "holds", "lies", "needs", "cannot", "stands"})
"""What messages begin with that go on with the path as their subject."""


class FieldFaultSchema(ma.Schema):
    """One fault of the input."""

    path = fields.String(metadata={"description": "Where, such as `inputs.n`"})
    message = fields.String(metadata={"description": "What was expected there"})
    line = fields.Integer(
        metadata={"description": "Line of a definition's text, where it is known; the first is 1"}
    )


class ProblemSchema(ma.Schema):
    """An error (RFC 9457)."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True, metadata={"description": "Stable, for programs"})
    fields_ = fields.List(
        fields.Nested(FieldFaultSchema), data_key="fields", metadata={"description": "Each fault"}
    )
    violated = fields.List(
        fields.String(),
        data_key="violated-policies",
        metadata={"description": "What there was too much of, where that has a name"},
    )


class ProblemRenderer(ErrorRenderer):
    """Renders errors as problem documents (RFC 9457)."""

    content_type: ClassVar[str] = CONTENT_TYPE
    schema: ClassVar[type[ma.Schema]] = ProblemSchema

    def render(self, failure: Failure) -> Response:
        """Return the answer to a request that fails."""
        return Response(
            json.dumps(self.body(failure)), failure.status.value, content_type=self.content_type
        )

    def body(self, failure: Failure) -> dict[str, Any]:
        """Return the members of the document."""
        sentences = [sentence(fault) for fault in failure.fields]
        body: dict[str, Any] = {
            "type": failure.type or f"urn:slipway:error:{failure.code}",
            "title": failure.status.phrase,
            "status": failure.status.value,
            "detail": summary(failure.detail, sentences),
            "code": failure.code,
        }
        if failure.fields:
            body["fields"] = [fault_json(fault) for fault in failure.fields]
        return {**body, **failure.members}


def fault_json(fault: FieldError) -> dict[str, Any]:
    """Write a fault, with its line where that is known."""
    line = line_of(fault.message)
    told = {"path": fault.path, "message": fault.message}
    return told if line is None else {**told, "line": line}


def sentence(fault: FieldError) -> str:
    """Write a fault as a sentence, such as ``inputs.n must be an integer, got text``."""
    text = fault.message.rstrip(".") + ("" if fault.message.endswith("?") else ".")
    if not fault.path:
        return text[:1].upper() + text[1:]
    predicate = fault.message.partition(" ")[0] in _VERBS
    return f"{fault.path} {text}" if predicate else f"{fault.path}: {text}"


def summary(detail: str, sentences: list[str]) -> str:
    """Write what is wrong as one text: the first fault, and how many more there are."""
    if not sentences:
        return detail
    more = len(sentences) - 1
    rest = f" (and {more} more)" if more else ""
    return f"{detail} {sentences[0]}{rest}"

"""The form of errors: a code and a message, both texts, whatever fails below the prefix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Final

import marshmallow as ma
from flask import Response
from marshmallow import fields

from app import errors
from app.resources._api import write_json
from app.resources._dialect import ErrorRenderer
from app.resources._errors import Failure
from app.resources._problem import sentence

JSON_TYPE: Final = "application/json"

_STATUSES: Final[Mapping[int, int]] = {422: 400, 502: 503, 504: 503}
"""What this API says in place of statuses that it does not have."""

_MOST_FAULTS: Final = 20
"""So many faults are told one by one."""

_CODES: Final[Mapping[int, str]] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    410: "gone",
    412: "precondition_failed",
    429: "rate_limited",
    501: "not_implemented",
    503: "unavailable",
}
"""The code of each status; of all others those below 500 are ``invalid_request``."""


class ErrorSchema(ma.Schema):
    """What went wrong."""

    error = fields.String(required=True, metadata={"description": "Stable, for programs"})
    message = fields.String(required=True, metadata={"description": "For people"})


class Refused(errors.Conflict):
    """What was asked for is not possible now, which this API has a code of its own for.

    Args:
        code: That code.
        status: Status of the answer.
        cause: Why it is not possible.
    """

    def __init__(self, code: str, status: int, cause: errors.SlipwayError) -> None:
        super().__init__(cause.message, detail=cause.detail, fields=cause.fields)
        self.word, self.status = code, status


@contextmanager
def failing_as(
    code: str, kind: type[errors.SlipwayError] = errors.Conflict, status: int = 400
) -> Iterator[None]:
    """Tell one kind of errors by a code of its own.

    Args:
        code: The code.
        kind: The kind; by default what the state of a thing does not allow.
        status: Status of the answer.
    """
    try:
        yield
    except kind as exc:
        raise Refused(code, status, exc) from exc


class EngineErrors(ErrorRenderer):
    """Renders errors as ``{"error": CODE, "message": TEXT}``."""

    content_type: ClassVar[str] = JSON_TYPE
    schema: ClassVar[type[ma.Schema]] = ErrorSchema

    def render(self, failure: Failure) -> Response:
        """Return the answer to a request that fails."""
        status, code = _told(failure)
        faults = [sentence(fault) for fault in failure.fields]
        # Its two texts are all that this form has room for.
        told, more = faults[:_MOST_FAULTS], len(faults) - _MOST_FAULTS
        rest = [f"(and {more} more)"] if more > 0 else []
        body = {"error": code, "message": " ".join([failure.detail, *told, *rest])}
        return Response(write_json(body), status, content_type=JSON_TYPE)


def _told(failure: Failure) -> tuple[int, str]:
    """Return the status and the code of a failure."""
    cause = failure.cause
    if isinstance(cause, Refused):
        return cause.status, cause.word
    if isinstance(cause, errors.InvalidDefinition):
        return 400, "invalid_workflow"
    status = _STATUSES.get(failure.status, int(failure.status))
    if status in _CODES:
        return status, _CODES[status]
    return status, "internal_error" if status >= 500 else "invalid_request"

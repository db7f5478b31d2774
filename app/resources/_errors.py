"""Errors on the wire: the one place that knows which error has which HTTP status."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from flask import Response, json, request
from werkzeug.exceptions import HTTPException

from app import errors
from app.errors import FieldError, SlipwayError, told
from app.settings.schema import WORDS, flatten

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
AUTHENTICATE = 'Basic realm="Slipway", charset="UTF-8"'

_STATUSES: Mapping[type[SlipwayError], HTTPStatus] = {
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.UnknownHost: HTTPStatus.MISDIRECTED_REQUEST,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.LimitExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.CapabilityMissing: HTTPStatus.NOT_IMPLEMENTED,
    errors.UpstreamError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UpstreamRefused: HTTPStatus.BAD_GATEWAY,
    errors.UpstreamGarbled: HTTPStatus.BAD_GATEWAY,
    errors.UpstreamUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UpstreamTimeout: HTTPStatus.GATEWAY_TIMEOUT,
    errors.SlipwayError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_RETRY = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
_RETRY_SECONDS = 5.0

_HTTP_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed_request",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid_request",
}

_VERBS = frozenset({"must", "is", "are", "has", "holds", "lies", "needs", "cannot", "stands"})
"""What messages begin with that go on with the path as their subject."""

_WORDS = {
    **WORDS,
    "Unknown field.": "is not known here",
    "Field may not be null.": "must not be null",
    "Invalid input type.": "must be an object",
    "Not a valid mapping type.": "must be an object",
}


def status_of(error: SlipwayError) -> HTTPStatus:
    """Give the HTTP status of an error, by the nearest class in the table."""
    return next(_STATUSES[cls] for cls in type(error).__mro__ if cls in _STATUSES)


def problem(
    status: HTTPStatus,
    code: str,
    detail: str,
    fields: tuple[FieldError, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build an error response (RFC 9457).

    ``errors`` repeats it in the form that the existing ``waas`` command-line client reads, which
    shows the ``detail`` of each and nothing else: so that is a whole sentence, with the field.
    """
    sentences = [_sentence(fault) for fault in fields]
    body: dict[str, Any] = {
        "type": f"urn:slipway:error:{code}",
        "title": status.phrase,
        "status": status.value,
        "detail": _summary(detail, sentences),
        "code": code,
        "errors": [
            {"id": code, "status": status.value, "title": status.phrase, "detail": text}
            for text in sentences or [detail]
        ],
    }
    if fields:
        body["fields"] = [{"path": f.path, "message": f.message} for f in fields]
    response = Response(json.dumps(body), status.value, content_type=CONTENT_TYPE)
    response.headers.update(headers or {})
    return response


def refusal(status: HTTPStatus, detail: str, retry_after_seconds: int | None = None) -> Response:
    """Build the answer to a request that the server does not pass on to the application."""
    retry = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    return problem(status, _code_of(status), detail, headers=retry)


def _code_of(status: HTTPStatus) -> str:
    return _HTTP_CODES.get(status, status.phrase.lower().replace(" ", "_"))


def on_slipway_error(error: SlipwayError) -> Response:
    """Answer an error of ours."""
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning(
            "request failed", code=error.code, error=error.message, detail=error.detail,
            path=request.path,
        )  # fmt: skip
    headers = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = AUTHENTICATE
    if error.retry_after_seconds is not None or status in _RETRY:
        headers["Retry-After"] = str(_retry_after(error.retry_after_seconds or _RETRY_SECONDS))
    return problem(status, error.code, error.message, error.fields, headers)


def on_http_exception(error: HTTPException) -> Response:
    """Answer an error of Flask, Werkzeug or webargs in our own form."""
    if error.response is not None and error.code is None:
        return Response(error.response.response, error.response.status)  # type: ignore[attr-defined]
    status = HTTPStatus(error.code or 500)
    data = getattr(error, "data", None) or {}
    faults = _field_errors(data.get("messages", {}))
    detail = "The request has faults." if faults else str(error.description)
    detail, fields = told(detail, faults)
    code = _code_of(status)
    kept = {
        name: value
        for name, value in error.get_headers(request.environ)
        if name.lower() not in ("content-type", "content-length")
    }
    return problem(status, code, detail, fields, {**kept, **(data.get("headers") or {})})


def on_crash(error: Exception) -> Response:
    """Answer a fault of the program; what it was stands in the log only."""
    log.error("request crashed", path=request.path, method=request.method, exc_info=error)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong on our side."
    )


def _field_errors(messages: Mapping[str, Any]) -> list[FieldError]:
    """Name faults by the caller's own words: the place in the body, or the parameter."""
    faults: list[FieldError] = []
    for location, found in messages.items():
        path = "" if isinstance(found, Mapping) else location
        faults += flatten(found, path, _WORDS, root="body" if location == "json" else location)
    return faults


def _sentence(fault: FieldError) -> str:
    """Say a fault as a sentence, such as ``inputs.n must be an integer, got text``."""
    text = fault.message.rstrip(".") + ("" if fault.message.endswith("?") else ".")
    if not fault.path:
        return text[:1].upper() + text[1:]
    predicate = fault.message.partition(" ")[0] in _VERBS
    return f"{fault.path} {text}" if predicate else f"{fault.path}: {text}"


def _summary(detail: str, sentences: list[str]) -> str:
    """Say what is wrong in one text: the first fault, and how many more there are."""
    if not sentences:
        return detail
    more = len(sentences) - 1
    rest = f" (and {more} more)" if more else ""
    return f"{detail} {sentences[0]}{rest}"


def _retry_after(seconds: float) -> int:
    """Give whole seconds, spread so that not everybody comes back at once."""
    return max(1, math.ceil(seconds * random.uniform(1.0, 1.5)))  # noqa: S311

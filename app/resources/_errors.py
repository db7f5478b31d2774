"""What can go wrong with a request: the one place that knows which error has which HTTP status.

A :class:`Failure` says it without the form of any API; the dialect that answers gives it one.
"""

from __future__ import annotations

import errno
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import structlog
from flask import request
from werkzeug.exceptions import HTTPException

from app import errors
from app.domain import Permission
from app.errors import FieldError, SlipwayError, told
from app.identity.port import REALM, Challenge, SignInNeeded
from app.identity.scopes import scopes_for
from app.resources._auth import challenge_text
from app.resources._context import services
from app.resources._given import with_given, with_request
from app.resources._resource_metadata import naming_metadata
from app.settings.schema import WORDS, flatten

log = structlog.get_logger(__name__)

_STATUSES: Mapping[type[SlipwayError], HTTPStatus] = {
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.SeveralCredentials: HTTPStatus.BAD_REQUEST,
    errors.SignInFailed: HTTPStatus.BAD_REQUEST,
    errors.NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    errors.NotAllowed: HTTPStatus.FORBIDDEN,
    errors.UnknownHost: HTTPStatus.MISDIRECTED_REQUEST,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Purged: HTTPStatus.GONE,
    errors.ConditionFailed: HTTPStatus.PRECONDITION_FAILED,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.LimitExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.CapabilityMissing: HTTPStatus.NOT_IMPLEMENTED,
    errors.NodesMissing: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UpstreamError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UpstreamRefused: HTTPStatus.BAD_GATEWAY,
    errors.UpstreamGarbled: HTTPStatus.BAD_GATEWAY,
    errors.UpstreamUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UpstreamTimeout: HTTPStatus.GATEWAY_TIMEOUT,
    errors.SlipwayError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_RETRY = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
_RETRY_SECONDS = 5.0
"""When a caller may come back, where the error does not say."""

_QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
"""The type that draft-ietf-httpapi-ratelimit-headers-11, 5 has for it."""

_HTTP_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed_request",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid_request",
}

_HEADERS = "headers"
"""Where values are not repeated: many of them are credentials."""

_WORDS = {
    **WORDS,
    "Unknown field.": "is not known here",
    "Field may not be null.": "must not be null",
    "Invalid input type.": "must be an object",
    "Not a valid mapping type.": "must be an object",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request fails, before a dialect has put it into its own form.

    Attributes:
        status: The status that RFC 9110, 15 has for it.
        code: Stable word for programs, such as ``not_found``.
        detail: Sentence for people.
        fields: The single faults of the input, if that is at fault.
        headers: Header fields that belong to the answer in any form, such as ``Retry-After``.
        cause: The error, where there is one; None if the server refused the request.
        type: URI of the problem type (RFC 9457, 3.1.1), where that is not one of our own.
        members: What belongs to the problem of that type (RFC 9457, 3.2).
    """

    status: HTTPStatus
    code: str
    detail: str
    fields: tuple[FieldError, ...] = ()
    headers: Mapping[str, str | list[str]] = field(default_factory=dict)
    cause: Exception | None = None
    type: str | None = None
    members: Mapping[str, Any] = field(default_factory=dict)


CRASHED = Failure(
    HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong on our side."
)
"""A fault of the program."""


def status_of(error: SlipwayError) -> HTTPStatus:
    """Return the HTTP status of an error, by the nearest class in the table."""
    return next(_STATUSES[cls] for cls in type(error).__mro__ if cls in _STATUSES)


def _code_of(status: HTTPStatus) -> str:
    return _HTTP_CODES.get(status, status.phrase.lower().replace(" ", "_"))


def of_error(error: Exception, path: str) -> Failure:
    """Describe whatever was raised, and log it where it is not the caller's."""
    if isinstance(error, SlipwayError):
        return of_slipway_error(error, path)
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        full = errors.StoreUnavailable("A disk of the service is full.", detail=str(error))
        return of_slipway_error(full, path)
    return of_crash(error, path)


def of_slipway_error(error: SlipwayError, path: str) -> Failure:
    """Describe an error of ours."""
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning(
            "request failed", code=error.code, error=error.message, detail=error.detail,
            path=path,
        )  # fmt: skip
    headers: dict[str, str | list[str]] = {}
    if isinstance(error, errors.NotAuthenticated):
        headers["WWW-Authenticate"] = [
            challenge_text(naming_metadata(each)) for each in _challenges(error)
        ]
    if isinstance(error, errors.ScopeMissing):
        headers["WWW-Authenticate"] = challenge_text(naming_metadata(_scope_challenge(error)))
    if error.retry_after_seconds is not None or status in _RETRY:
        headers["Retry-After"] = str(_retry_after(error.retry_after_seconds or _RETRY_SECONDS))
    failure = Failure(status, error.code, error.message, _shown(error), headers, error)
    if isinstance(error, errors.QuotaExceeded) and error.policies:
        violated = {"violated-policies": list(error.policies)}
        return replace(failure, type=_QUOTA_EXCEEDED, members=violated)
    return failure


def _shown(error: SlipwayError) -> tuple[FieldError, ...]:
    """Return the faults of an error, with what the request has there.

    Those of definitions stand in a file of who sent it, which may hold secrets under any name.
    """
    is_about_arguments = isinstance(error, errors.InvalidRequest) and not isinstance(
        error, errors.InvalidDefinition
    )
    return with_request(error.fields) if is_about_arguments else error.fields


def _challenges(error: errors.NotAuthenticated) -> Sequence[Challenge]:
    """Return how one can sign in; a 401 must say so (RFC 9110, 15.5.2), whoever raised it."""
    if isinstance(error, SignInNeeded):
        return error.challenges
    return services().authenticators.challenges()


def _scope_challenge(error: errors.ScopeMissing) -> Challenge:
    """Return which scope a credential would need (RFC 6750, 3.1): the narrowest that does."""
    scope = scopes_for(Permission(error.permission))[0]
    return Challenge(
        "Bearer",
        {"realm": REALM, "error": "insufficient_scope",
         "error_description": error.message, "scope": scope},
    )  # fmt: skip


def of_http_exception(error: HTTPException) -> Failure:
    """Describe an error of Flask, Werkzeug or webargs."""
    status = HTTPStatus(error.code or 500)
    data = getattr(error, "data", None) or {}
    given = getattr(getattr(error, "exc", None), "data", None)
    faults = _field_errors(data.get("messages", {}), given)
    detail = "The request has faults." if faults else str(error.description)
    detail, fields = told(detail, faults)
    kept = {
        name: value
        for name, value in error.get_headers(request.environ)
        if name.lower() not in ("content-type", "content-length")
    }
    headers = {**kept, **(data.get("headers") or {})}
    return Failure(status, _code_of(status), detail, fields, headers, error)


def of_crash(error: Exception, path: str) -> Failure:
    """Describe a fault of the program; what it was stands in the log only."""
    log.error("request crashed", path=path, exc_info=error)
    return replace(CRASHED, cause=error)


def of_refusal(status: HTTPStatus, detail: str, retry_after_seconds: int | None = None) -> Failure:
    """Describe why the server does not pass a request on to the application."""
    retry = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    return Failure(status, _code_of(status), detail, headers=retry)


def _field_errors(messages: Mapping[str, Any], given: Any) -> list[FieldError]:
    """Name faults by the caller's own words: the place in the body, or the parameter."""
    faults: list[FieldError] = []
    for location, found in messages.items():
        path = "" if isinstance(found, Mapping) else location
        named = flatten(found, path, _WORDS, root="body" if location == "json" else location)
        faults += named if location == _HEADERS else with_given(named, given)
    return faults


def _retry_after(seconds: float) -> int:
    """Return whole seconds, spread so that not everybody comes back at once."""
    return max(1, math.ceil(seconds * random.uniform(1.0, 1.5)))  # noqa: S311

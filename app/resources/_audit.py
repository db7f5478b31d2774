"""What of requests is audited: who is refused, and whatever changes something or tries to.

It follows from what endpoints declare (:mod:`app.resources._permissions`), so an endpoint that is
added is audited without further doing.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType

import structlog
from flask import Response, g, has_request_context, request

from app.domain import USERNAME, AuditResult
from app.errors import Hidden, LimitExceeded, NotAuthenticated, SlipwayError
from app.execution_names import is_name
from app.identity.port import Claim, SignInNeeded
from app.observability import redact
from app.resources._context import services
from app.resources._permissions import Declaration, current_view, declaration_of
from app.services.audit import Audit, Origin

log = structlog.get_logger(__name__)

_SIGN_IN = "sign-in"
_OTHER = "request"
_PAGES = "/ui/"
_PROGRESS = "/operations/"
_API_WORDS = MappingProxyType({"keys": "ssh_keys"})
"""What begins an address of the API, by what begins that of the page, where they differ."""
_READS = ":read"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def current_origin() -> Origin:
    """Return who sends the current request, and from where."""
    if not has_request_context():
        return Origin()
    return Origin(g.get("identity"), request.remote_addr, g.get("request_id"))


def act_as(action: str) -> None:
    """Note what the current request does, where that is not what its endpoint declares."""
    g.action = action


def note_cause(error: Exception) -> None:
    """Note why the current request fails."""
    g.cause = error


def audit_request(audit: Audit, response: Response) -> None:
    """Record a request that was answered, unless it only reads and was not refused.

    Args:
        audit: Where.
        response: The answer.
    """
    declared, cause = _declared(), g.get("cause")
    result = _result(declared, cause, response.status_code)
    if result is None:
        return
    if result is AuditResult.DENIED and _is_about_sign_in(cause):
        _record_sign_in(audit, cause)
        return
    target = _by_ids(_target(response))
    detail = f"{request.method} {request.path} answered {response.status_code}"
    if isinstance(cause, SlipwayError):
        detail = f"{detail} {cause.code}"
    action = g.get("action") or declared.action or _OTHER
    audit.record(audit.event(action, target, result=result, detail=detail))


def _target(response: Response) -> str:
    """Return the address of what a request made, or else of what it is about, as the API has it.

    A page may also lead to a list of what it was about, or to how far it is.
    """
    accepted = response.status_code == HTTPStatus.ACCEPTED  # where it says how far that is
    place = "" if accepted else response.headers.get("Location", "")
    if not request.path.startswith(_PAGES):
        return place or request.path
    here, there = (_of_api(each) for each in (request.path, place))
    leads_on = f"{here}/".startswith(f"{there}/") or there.startswith(_PROGRESS)
    return here if not there or leads_on else there


def _of_api(address: str) -> str:
    path = address.partition("?")[0]
    if not path.startswith(_PAGES):
        return ""
    first, slash, rest = path.removeprefix(_PAGES).partition("/")
    return f"/{_API_WORDS.get(first, first)}{slash}{rest}"


def _record_sign_in(audit: Audit, cause: Exception | None) -> None:
    """Record a sign-in that failed; nothing of what was sent is in it, unless it is known."""
    # Not the address that was asked for: whoever is not signed in makes up any number of them.
    target = request.url_rule.rule if request.url_rule else ""
    message = cause.message if isinstance(cause, SlipwayError) else ""
    event = audit.event(_SIGN_IN, target, result=AuditResult.DENIED, detail=message)
    claim = cause.claim if isinstance(cause, SignInNeeded) else None
    if claim is not None and claim.known and claim.subject:
        event = replace(event, username=claim.username, credential=claim.subject)
    audit.record(event)
    if claim is not None:
        _tell_of_sign_in(claim, message)


def _tell_of_sign_in(claim: Claim, reason: str) -> None:
    """Tell the service's own log of each sign-in that failed, for whoever shuts addresses out.

    The audit names only who exists, since names may be passwords in the wrong field; the log, which
    operators alone read, has what was tried, where that could be anybody's name.
    """
    name = claim.name or ""
    log.warning(
        "sign-in failed",
        address=request.remote_addr,
        reason=reason,
        user=redact(name) if USERNAME.fullmatch(name) else None,
    )


def _by_ids(address: str) -> str:
    """Return an address with the id of each execution that it names otherwise.

    So all that is audited of one execution is found by one target; the detail has what was sent.
    """
    return "/".join(_id_of(part) if is_name(part) else part for part in address.split("/"))


def _id_of(name: str) -> str:
    with suppress(SlipwayError):  # the store may be what fails
        for id_ in services().executions.ids_known_as(name):
            return id_
    return name


def _declared() -> Declaration:
    """Return what the endpoint declares; nothing where there is none at that address."""
    view = current_view()
    return Declaration(None) if view is None else declaration_of(view)


def _result(declared: Declaration, cause: Exception | None, status: int) -> AuditResult | None:
    """Return what became of a request; None where that is not audited."""
    needed = declared.permission
    is_guess = needed is not None and isinstance(cause, LimitExceeded) and _is_about_sign_in(cause)
    if status in _DENIED or isinstance(cause, Hidden) or is_guess:
        return AuditResult.DENIED
    # What needs no more than to read changes nothing of anybody's, whatever its method.
    if needed is None or request.method in _SAFE or needed.endswith(_READS):
        return None
    if status < HTTPStatus.BAD_REQUEST:
        return None if declared.recorded else AuditResult.SUCCESS
    is_ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return AuditResult.FAILED if is_ours else AuditResult.REFUSED


def _is_about_sign_in(cause: Exception | None) -> bool:
    """Return whether a request was refused before it was known who sends it."""
    return "identity" not in g and isinstance(cause, NotAuthenticated | LimitExceeded)

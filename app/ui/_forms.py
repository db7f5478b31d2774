"""What forms send, and where a browser goes on afterwards.

A form knows GET and POST. What was posted is answered with 303 (RFC 9110, 15.4.4), so that 'Reload'
does not send it again; where the form was not right, with the page as it was and 422.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, unquote

from flask import Response, g, request

from app.errors import FieldError, SlipwayError
from app.resources._api import empty
from app.resources._audit import note_cause
from app.resources._browsers import is_from_script
from app.resources._cookies import read_cookie, set_cookie
from app.resources._errors import Failure, of_slipway_error

_NOTICE: Final = "slipway_notice"
_NOTICE_SECONDS: Final = 60
"""How long a browser keeps it that never comes to that page."""
_LONGEST_NOTICE: Final = 500
_HTMX: Final = "HX-Request"

Tone = Literal["good", "bad", "plain"]


@dataclass(frozen=True, slots=True)
class Notice:
    """What the next page says of what was just done, once."""

    text: str
    tone: Tone = "good"


def see_other(path: str, notice: Notice | None = None) -> Response:
    """Lead the browser to another page of the service.

    Args:
        path: Its address, without the prefix that a proxy takes off.
        notice: What that page says.
    """
    response = empty(303, {"Location": path, "Cache-Control": "no-store"})
    if notice is not None:
        keep_notice(response, notice)
    return response


def refused(error: SlipwayError, show: Callable[[int], Response]) -> Response:
    """Answer that a form was refused, and when it may be sent again.

    Args:
        error: Why.
        show: Makes the page that says so, with the status that belongs to it.
    """
    failure = why_refused(error)
    return told_when_again(show(failure.status.value), failure)


def why_refused(error: SlipwayError) -> Failure:
    """Describe why the current request is refused, and have the audit tell that."""
    note_cause(error)
    return of_slipway_error(error, request.path)


def told_when_again(response: Response, failure: Failure) -> Response:
    """Return the answer to what was refused, with when it may be sent again."""
    if "Retry-After" in failure.headers:
        response.headers["Retry-After"] = str(failure.headers["Retry-After"])
    return response


def keep_notice(response: Response, notice: Notice) -> None:
    """Have the browser bring to the next page what that says."""
    text = json.dumps([notice.tone, notice.text[:_LONGEST_NOTICE]])
    set_cookie(response, _NOTICE, quote(text), _NOTICE_SECONDS)


def take_notice() -> Notice | None:
    """Return what the page before wants told, and have the browser forget it.

    A script that reads a part of a page shows nothing of it, so it is not told then.
    """
    if is_from_script():
        return None
    if "notice" in g:
        found: Notice | None = g.notice
        return found
    g.notice = read_notice(read_cookie(_NOTICE))
    return g.notice  # type: ignore[no-any-return]


def notice_was_shown() -> bool:
    """Return whether the browser must forget what the page before wanted told."""
    return bool(g.get("notice"))


def forget_notice(response: Response) -> None:
    """Have the browser forget it."""
    set_cookie(response, _NOTICE, "", 0)


def read_notice(cookie: str | None) -> Notice | None:
    """Read what the page before wants told; None where there is nothing, or nothing of ours."""
    try:
        tone, text = json.loads(unquote(cookie or ""))
    except ValueError:
        return None
    if tone not in ("good", "bad", "plain") or not isinstance(text, str):
        return None
    return Notice(text[:_LONGEST_NOTICE], tone)


def is_partial() -> bool:
    """Return whether a script of the page asks, to put the answer into it."""
    return _HTMX in request.headers


def posted(name: str) -> str:
    """Return what a field of the posted form holds; empty where it is not there."""
    return request.form.get(name, "")


def posted_all(name: str) -> Sequence[str]:
    """Return what all fields of one name hold, such as ticked boxes."""
    return request.form.getlist(name)


def faults_by_field(error: SlipwayError) -> Mapping[str, Sequence[str]]:
    """Return what is wrong with each field that an error names, by the path of the field."""
    found: dict[str, list[str]] = {}
    for fault in error.fields:
        found.setdefault(fault.path, []).append(_written(fault))
    return found


def _written(fault: FieldError) -> str:
    return fault.message[:1].upper() + fault.message[1:]

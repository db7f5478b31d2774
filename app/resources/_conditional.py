"""Conditional requests (RFC 9110, 13): entity tags of answers, and what they are compared with.

A tag stands for what readers see, apart from the moment at which that was last true. All are weak,
but for those of whole logs of which ranges can be asked for. Whoever knows what has changed without
writing the answer sets its tag; the others are told by the bytes of the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from flask import Response, current_app, g, request
from werkzeug.datastructures import ETags
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_etags
from werkzeug.routing import MapAdapter

from app.errors import ConditionFailed, NotFound
from app.identity.permissions import is_allowed
from app.resources._permissions import declaration_of

READS: Final = ("GET", "HEAD")
CHANGES: Final = ("PUT", "PATCH", "DELETE")
"""Methods that change what a reader gets at the same address."""
_FOUND: Final = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
_TAG_BYTES: Final = 16
_OF_ONE: Final = "private, no-cache"
"""Another one may see something else there."""
_OF_A_BODY: Final = (
    "Content-Type", "Content-Length", "Content-Encoding", "Content-Range", "Accept-Ranges",
)  # fmt: skip


def tag_of(*parts: str | bytes) -> str:
    """Return the weak entity tag (RFC 9110, 8.8.3) of what some texts tell apart."""
    digest = hashlib.blake2b(digest_size=_TAG_BYTES)
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    return f'W/"{digest.hexdigest()}"'


def kept_headers(tag: str) -> dict[str, str]:
    """Return the fields of an answer that its reader may keep, and has to ask for again.

    What is said in its place to who has it already has the same (RFC 9110, 15.4.5).
    """
    return {"ETag": tag, "Cache-Control": _OF_ONE}


@dataclass(frozen=True, slots=True)
class Conditions:
    """On which tags a request is to be carried out; None where it does not say.

    Attributes:
        reads: It only reads.
    """

    if_match: ETags | None
    if_none_match: ETags | None
    reads: bool

    @classmethod
    def of_request(cls) -> Conditions | None:
        """Return those of the current request; None if there are none."""
        match = request.headers.get("If-Match")
        none_match = request.headers.get("If-None-Match")
        if not match and not none_match:
            return None
        return cls(
            parse_etags(match) if match else None,
            parse_etags(none_match) if none_match else None,
            request.method in READS,
        )

    def holds(self, tag: str | None) -> bool:
        """Return whether a request is to be carried out (RFC 9110, 13.2.2).

        Args:
            tag: Of what there is, as in a header field; None where there is nothing.

        Returns:
            False when the client has it already.

        Raises:
            ConditionFailed: It must not be carried out.
        """
        if self.if_match is not None and not _is_among(self.if_match, tag, strongly=True):
            raise ConditionFailed("What there is, is not what If-Match says.")
        if self.if_none_match is None or not _is_among(self.if_none_match, tag, strongly=False):
            return True
        if not self.reads:
            raise ConditionFailed("There is what If-None-Match says.")
        return False


def is_unchanged(tag: str) -> bool:
    """Return whether the client has what a tag stands for, so that nothing need be written.

    Raises:
        ConditionFailed: The current request must not be answered.
    """
    conditions = Conditions.of_request()
    return conditions is not None and not conditions.holds(tag)


def tagged(response: Response) -> str | None:
    """Return the tag of an answer to a reader, and write it there if that is not done yet.

    Streams have none, and neither has what nobody may keep.
    """
    known = response.headers.get("ETag")
    if known is not None:
        return known
    if not response.is_sequence or "no-store" in response.headers.get("Cache-Control", ""):
        return None
    tag = tag_of(response.content_type or "", response.get_data())
    response.headers["ETag"] = tag
    return tag


def conclude(response: Response) -> Response:
    """Complete the answer to the current request: its tag, or that the client has it already.

    Raises:
        ConditionFailed: The request must not be answered.
    """
    if request.method not in READS or response.status_code not in _FOUND:
        return response
    tag = tagged(response)
    if tag is None:
        return response
    if "identity" in g:
        response.headers.setdefault("Cache-Control", _OF_ONE)
    return not_modified(response) if is_unchanged(tag) else response


def check_before_change() -> None:
    """Compare the tags that a change depends on with that of what is there, before it is made.

    What that is, a reader of the same address would get. Where nobody can read it there, there is
    nothing to compare (RFC 9110, 13.2.1).

    Raises:
        ConditionFailed: The change must not be made.
    """
    if request.method not in CHANGES:
        return
    conditions = Conditions.of_request()
    if conditions is None or "identity" not in g:
        return
    try:
        rule, arguments = _adapter().match(method="GET", return_rule=True)
    except HTTPException:
        return
    conditions.holds(_tag_there(rule.endpoint, arguments))


def _adapter() -> MapAdapter:
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None  # noqa: S101  (there is one for each request)
    return adapter


def _tag_there(endpoint: str, arguments: Mapping[str, Any]) -> str | None:
    """Return the tag that a reader would get; None where there is nothing that they may see."""
    view: Callable[..., Any] = current_app.view_functions[endpoint]
    needed = declaration_of(view).permission
    if needed is not None and not is_allowed(g.identity, needed):
        return None
    try:
        return tagged(current_app.make_response(view(**arguments)))
    except NotFound:
        return None


def not_modified(response: Response) -> Response:
    """Return what is said in place of an answer that the client has (RFC 9110, 15.4.5)."""
    response.close()
    headers = [(name, value) for name, value in response.headers if name not in _OF_A_BODY]
    short = Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    del short.headers["Content-Type"]
    return short


def _is_among(tags: ETags, tag: str | None, *, strongly: bool) -> bool:
    """Compare a tag with those of a field (RFC 9110, 8.8.3.2); ``*`` is any that there is."""
    if tag is None:
        return False
    if tags.star_tag:
        return True
    is_weak, value = tag.startswith("W/"), tag.removeprefix("W/").strip('"')
    if strongly:
        return not is_weak and tags.is_strong(value)
    return tags.contains_weak(value)

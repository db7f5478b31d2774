"""Sessions that begin on pages: with what somebody has typed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from flask import Response, request

from app.identity import departures
from app.identity.port import API_KEY_FIELD
from app.identity.sessions import COOKIE
from app.resources._auth import FlaskRequest
from app.resources._context import services
from app.resources._cookies import read_cookie
from app.resources._session_pages import begin_session, here

FIRST = "/ui/"
"""Where somebody goes on who wanted nothing else."""
_KEPT: Final = "/:@!$&'()*+,;=~"
"""What may stand in a path as it is (RFC 3986, 3.3)."""


class Typed(FlaskRequest):
    """The current request, as if it carried what somebody has typed, and nothing else.

    Args:
        fields: Header fields that say it, by their names in lower case.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    @classmethod
    def password(cls, username: str, password: str) -> Typed:
        """Make one of a user name and a password (RFC 7617)."""
        pair = f"{username}:{password}".encode("utf-8", "replace")
        return cls({"authorization": f"Basic {b64encode(pair).decode()}"})

    @classmethod
    def api_key(cls, key: str) -> Typed:
        """Make one of an API key."""
        return cls({API_KEY_FIELD.lower(): key})

    def header(self, name: str) -> str | None:
        """Return the value of a header field."""
        return self._fields.get(name.lower())

    def cookie(self, name: str) -> str | None:
        """Return nothing: the session before is not what signs in."""
        return None

    @property
    def query_keys(self) -> tuple[str, ...]:
        """Nothing: what was typed is all that counts."""
        return ()


def sign_in_as(typed: Typed, response: Response) -> None:
    """Begin the session of somebody, and end that which the browser had before.

    Streams of the one before end with it, so that no tab shows things of somebody else.

    Args:
        typed: What they have typed.
        response: The answer that tells the browser.

    Raises:
        NotAuthenticated: It is not right.
        LimitExceeded: Too many wrong ones came before, or too many are looked at now.
        Conflict: No session begins with it.
    """
    sessions = services().sessions
    identity = services().authenticators.authenticate(typed)
    before = sessions.find(read_cookie(COOKIE))
    begin_session(response, identity)
    if before is not None:
        sessions.end(before, here())


def target(asked: str) -> str:
    """Return the page of the service that is wanted afterwards; the first one where none is."""
    return asked if departures.is_target(asked) and asked.startswith(FIRST) else FIRST


def this_page() -> str:
    """Return the page that is asked for, to come back to it; without a query that is too long."""
    path = quote(request.path, safe=_KEPT)
    whole = f"{path}?{request.query_string.decode('latin-1')}"
    return target(whole if request.query_string and departures.is_target(whole) else path)


def page_before() -> str:
    """Return the page whose form was sent, as the browser tells; else the first one."""
    parts = urlsplit(request.referrer or "")
    if parts.netloc != request.host:
        return FIRST
    path = parts.path.removeprefix(request.script_root)
    return target(f"{path}?{parts.query}" if parts.query else path)

"""Who is calling, and with what: the authenticators of the service, or a ticket on streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app, g, request

from app.domain import Identity
from app.identity.port import Challenge
from app.resources._context import services
from app.services.tickets import EVENTS

SECURITY: list[dict[str, list[str]]] = [{"basic": []}]


V = TypeVar("V", bound=Callable[..., Any])


def takes_ticket(view: V) -> V:
    """Let an endpoint take a ticket (``?ticket=``) in place of credentials.

    It stands directly at the function; the ticket is for the execution that the address names as
    ``execution_id``, or for the events of all.
    """
    vars(view)["takes_ticket"] = True
    return view


class FlaskRequest:
    """The current request, as authenticators see it."""

    __slots__ = ()

    @property
    def address(self) -> str | None:
        """The address of the caller."""
        return request.remote_addr

    def header(self, name: str) -> str | None:
        """Return the value of a header field."""
        return request.headers.get(name)

    def cookie(self, name: str) -> str | None:
        """Return the value of a cookie."""
        return request.cookies.get(name)


_REQUEST = FlaskRequest()


def check() -> None:
    """Find out who sends the current request.

    Raises:
        NotAuthenticated: They do not say, or not rightly.
        LimitExceeded: Too many wrong credentials came before.
    """
    ticket = request.args.get("ticket")
    view = current_app.view_functions.get(request.endpoint or "")
    if ticket is None or not getattr(view, "takes_ticket", False):
        g.identity = services().authenticators.authenticate(_REQUEST)
    else:
        subject = (request.view_args or {}).get("execution_id", EVENTS)
        g.identity = services().tickets.take(ticket, subject)


def caller() -> Identity:
    """Return the user of the current request."""
    identity: Identity = g.identity
    return identity


def caller_by_now() -> Callable[[], Identity]:
    """Return what tells who the caller is by now, while the request lasts."""
    return services().access.caller(caller())


def challenge_text(challenge: Challenge) -> str:
    """Write a challenge as a header field holds it (RFC 9110, 11.6.1)."""
    params = ", ".join(f"{name}={_quoted(value)}" for name, value in challenge.params.items())
    return f"{challenge.scheme} {params}".rstrip()


def _quoted(text: str) -> str:
    """Write a quoted-string (RFC 9110, 5.6.4)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

"""Who is calling: HTTP Basic (RFC 7617), a ticket on streams, or everybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import current_app, g, request
from flask_httpauth import HTTPBasicAuth

from app.domain import Identity
from app.errors import NotAuthenticated
from app.resources._context import services
from app.services.tickets import EVENTS, TicketService
from app.services.users import EVERYBODY, Users

SECURITY: list[dict[str, list[str]]] = [{"basic": []}]


V = TypeVar("V", bound=Callable[..., Any])


def takes_ticket(view: V) -> V:
    """Let an endpoint take a ticket (``?ticket=``) in place of credentials.

    It stands directly at the function; the ticket is for the execution that the address names as
    ``execution_id``, or for the events of all.
    """
    vars(view)["takes_ticket"] = True
    return view


def authenticator(users: Users | None, tickets: TicketService) -> Callable[[], None]:
    """Make the check that runs before each request of a protected API.

    Args:
        users: Who may call; None lets everybody in.
        tickets: What opens a stream in place of credentials.
    """
    by_password = _let_in if users is None else _password_check(users)

    def check() -> None:
        ticket = request.args.get("ticket")
        view = current_app.view_functions.get(request.endpoint or "")
        if ticket is None or not getattr(view, "takes_ticket", False):
            by_password()
            return
        subject = (request.view_args or {}).get("execution_id", EVENTS)
        g.identity = tickets.take(ticket, subject)

    return check


def _let_in() -> None:
    g.identity = EVERYBODY


def _password_check(users: Users) -> Callable[[], None]:
    auth = HTTPBasicAuth(realm="Slipway")

    @auth.verify_password  # type: ignore[untyped-decorator]
    def verify(username: str, password: str) -> Identity | None:
        if not username:
            return None
        return users.authenticate(username, password, request.remote_addr)

    @auth.error_handler  # type: ignore[untyped-decorator]
    def refuse(_status: int) -> None:
        raise NotAuthenticated("A user name and a password are needed.")

    @auth.login_required  # type: ignore[untyped-decorator]
    def check() -> None:
        g.identity = auth.current_user()

    return cast(Callable[[], None], check)


def caller() -> Identity:
    """Give the user of the current request."""
    identity: Identity = g.identity
    return identity


def caller_by_now() -> Callable[[], Identity]:
    """Give what tells who the caller is while his request lasts, by the users of that moment."""
    users, identity = services().users, caller()
    return lambda: identity if users is None else users.identity(identity.username)

"""Who is calling: HTTP Basic (RFC 7617), a ticket on streams, or everybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from flask import g, request
from flask_httpauth import HTTPBasicAuth

from app.domain import Identity
from app.errors import NotAuthenticated
from app.resources._context import services
from app.services.tickets import EVENTS, TicketService
from app.services.users import EVERYBODY, Users

STREAMS = frozenset({"logs.get_logs", "streams.follow_events", "streams.follow_websocket"})
"""The endpoints that take a ticket."""

SECURITY: list[dict[str, list[str]]] = [{"basic": []}]


def authenticator(users: Users | None, tickets: TicketService) -> Callable[[], None]:
    """Make the check that runs before each request of a protected API.

    Args:
        users: Who may call; None lets everybody in.
        tickets: What opens a stream in place of credentials.
    """
    by_password = _let_in if users is None else _password_check(users)

    def check() -> None:
        ticket = request.args.get("ticket")
        if ticket is None or request.endpoint not in STREAMS:
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

"""Who is calling: HTTP Basic (RFC 7617), or everybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from flask import g
from flask_httpauth import HTTPBasicAuth

from app.domain import Identity
from app.errors import NotAuthenticated
from app.services.users import EVERYBODY, Users

SECURITY: list[dict[str, list[str]]] = [{"basic": []}]


def authenticator(users: Users | None) -> Callable[[], None]:
    """Make the check that runs before each request of a protected API.

    Args:
        users: Who may call; None lets everybody in.
    """
    if users is None:

        def let_in() -> None:
            g.identity = EVERYBODY

        return let_in
    auth = HTTPBasicAuth(realm="Slipway")

    @auth.verify_password  # type: ignore[untyped-decorator]
    def verify(username: str, password: str) -> Identity | None:
        return users.authenticate(username, password) if username else None

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

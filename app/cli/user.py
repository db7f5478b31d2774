"""``slipway user``: who may sign in, beside the users of the settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from app.assembly import user_service
from app.cli._options import config_option
from app.cli._password import ask_password
from app.cli._store import opened_store
from app.domain import Role
from app.services.users import Account, UserChange, UserService

F = TypeVar("F", bound=Callable[..., Any])

_PAGE = 500


@click.group("user")
def command() -> None:
    """Add, change and remove users; it counts at once, whether the service runs or not.

    Passwords are asked for. Where standard input is no terminal, its first line is the password.
    """


def _users(function: F) -> F:
    """Add the options of the settings, and hand the users over in their place."""

    @config_option
    @wraps(function)
    def run(*args: Any, config: Path | None, data_dir: Path | None, **options: Any) -> None:
        with opened_store(config, data_dir, user_service) as users:
            function(*args, users=users, **options)

    return run  # type: ignore[return-value]


_NAME = click.argument("username")
_ROLES = [role.value for role in Role]
_FORCE = click.option(
    "--force", is_flag=True, help="Even if no admin is left who can sign in with a password."
)


@command.command("add")
@_NAME
@click.option(
    "--role", "roles", multiple=True, type=click.Choice(_ROLES), help="Role; 'user' unless given."
)
@click.option("--no-password", is_flag=True, help="They sign in otherwise.")
@click.option(
    "--again", is_flag=True,
    help="Take the name of a user who was removed, with their executions and keys.",
)  # fmt: skip
@_users
def add(
    users: UserService, username: str, roles: tuple[str, ...], no_password: bool, again: bool
) -> None:
    """Add a user."""
    password = None if no_password else ask_password()
    given = frozenset(map(Role, roles or (Role.USER,)))
    _say(users.add(username, given, password, again=again))


@command.command("list")
@_users
def list_(users: UserService) -> None:
    """List all users, those of the settings too."""
    after: str | None = ""
    while after is not None:
        found, after = users.list(after, _PAGE)
        for account in found:
            _say(account)


@command.command("passwd")
@_NAME
@_users
def passwd(users: UserService, username: str) -> None:
    """Give a user another password; what they signed in with before is worth nothing then."""
    users.get(username)
    _say(users.change(username, UserChange(password=ask_password())))


@command.command("roles")
@_NAME
@click.argument("roles", nargs=-1, required=True, type=click.Choice(_ROLES))
@_FORCE
@_users
def roles(users: UserService, username: str, roles: tuple[str, ...], force: bool) -> None:
    """Give a user other roles, in place of those of now."""
    given = frozenset(map(Role, roles))
    _say(users.change(username, UserChange(roles=given), force=force))


@command.command("disable")
@_NAME
@_FORCE
@_users
def disable(users: UserService, username: str, force: bool) -> None:
    """Keep somebody from signing in, whatever with; streams that they follow end soon."""
    _say(users.change(username, UserChange(disabled=True), force=force))


@command.command("enable")
@_NAME
@_users
def enable(users: UserService, username: str) -> None:
    """Let a user sign in again who was disabled."""
    _say(users.change(username, UserChange(disabled=False)))


@command.command("remove")
@_NAME
@_FORCE
@_users
def remove(users: UserService, username: str, force: bool) -> None:
    """Remove a user; their executions and keys stay."""
    users.remove(username, force=force)
    click.echo(f"{username}: removed")


def _say(account: Account) -> None:
    """Print a user as one line."""
    remarks = [
        remark
        for remark, applies in (
            ("disabled", account.disabled),
            ("in the settings", account.configured),
            ("without a password", not account.has_password),
        )
        if applies
    ]
    held = ", ".join(account.roles) or "no roles here"
    click.echo(f"{account.username}: {held}" + (f" ({', '.join(remarks)})" if remarks else ""))

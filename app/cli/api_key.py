"""``slipway api-key``: the keys with which programs sign in."""

from __future__ import annotations

from pathlib import Path

import click

from app.assembly import api_key_service
from app.cli._options import config_option
from app.cli._store import opened_store
from app.domain import Identity, Role
from app.durations import parse_duration
from app.errors import NotFound
from app.identity.scopes import SCOPES
from app.services.api_keys import Wish
from app.store.api_keys import ApiKey

_PAGE = 500
_OPERATOR = Identity("", frozenset({Role.ADMIN}))
"""Who can read the settings and the database may do whatever an admin may."""


@click.group("api-key")
def command() -> None:
    """Make, list and revoke API keys; it counts at once, whether the service runs or not."""


def _seconds(_ctx: object, _param: object, text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from None


@command.command("create")
@config_option
@click.option("--owner", required=True, help="The user that it stands for.")
@click.option("--name", required=True, help="What it is for.")
@click.option("--expires-in", callback=_seconds, help="Until it ends, such as 720h.")
@click.option(
    "--role", "roles", multiple=True, type=click.Choice([role.value for role in Role]),
    help="What it may do; all that its owner may unless given.",
)  # fmt: skip
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(list(SCOPES)),
    help="What it is restricted to.",
)  # fmt: skip
def create(  # noqa: PLR0917  (click passes its options by name)
    config: Path | None,
    data_dir: Path | None,
    owner: str,
    name: str,
    expires_in: float | None,
    roles: tuple[str, ...],
    scopes: tuple[str, ...],
) -> None:
    """Make a key for a user, and print it; it is shown only now."""
    with opened_store(config, data_dir, api_key_service) as (keys, users):
        user = users.find(owner)
        if user is None or user.disabled or not user.local:
            raise NotFound(f"There is no user '{owner}' who may sign in.")
        wish = Wish(name, list(map(Role, roles)) or None, scopes or None, expires_in)
        key, stored = keys.create(wish, Identity(owner, user.roles))
        click.echo(_line(stored), err=True)
        click.echo(key)


@command.command("list")
@config_option
@click.option("--owner", help="Whose; everybody's unless given.")
def list_(config: Path | None, data_dir: Path | None, owner: str | None) -> None:
    """List keys that were not revoked, newest first."""
    with opened_store(config, data_dir, api_key_service) as (keys, _):
        before = None
        while True:
            found, before = keys.list(_OPERATOR, owner, before, _PAGE)
            for key in found:
                click.echo(_line(key))
            if before is None:
                break


@command.command("revoke")
@config_option
@click.argument("key", metavar="ID")
def revoke(config: Path | None, data_dir: Path | None, key: str) -> None:
    """Revoke a key, by its id or its first 8 characters."""
    with opened_store(config, data_dir, api_key_service) as (keys, _):
        click.echo(f"{keys.revoke(key, _OPERATOR).id}: revoked")


def _line(key: ApiKey) -> str:
    """Write what is known of a key as one line."""
    ends = "never" if key.expires_at is None else f"{key.expires_at:%Y-%m-%dT%H:%M:%SZ}"
    used = "never" if key.last_used_at is None else f"{key.last_used_at:%Y-%m-%dT%H:%MZ}"
    allowed = ", ".join(key.roles if key.scopes is None else key.scopes)
    return (
        f"{key.id}: {key.prefix}... '{key.name}' of {key.owner} ({allowed}); "
        f"ends {ends}, last used {used}"
    )

"""``slipway hash-password``: hash a password for the configuration."""

from __future__ import annotations

import click

from app.identity.basic import hash_password


@click.command("hash-password")
@click.password_option(help="Asked for when not given.")
def command(password: str) -> None:
    """Hash a password for 'api.auth.users[].password_hash'."""
    click.echo(hash_password(password))

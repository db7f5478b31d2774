"""``slipway hash-password``: hash a password for the configuration."""

from __future__ import annotations

import click

from app.cli._password import ask_password
from app.identity.basic import hash_password


@click.command("hash-password")
@click.option("--password", help="Asked for when not given; everybody can read it while this runs.")
def command(password: str | None) -> None:
    """Hash a password for 'api.auth.users[].password_hash'.

    It is asked for twice. Where standard input is no terminal, its first line is the password.
    """
    given = ask_password() if password is None else password
    if not given:
        raise click.ClickException("an empty password lets everybody in who knows the name")
    click.echo(hash_password(given))

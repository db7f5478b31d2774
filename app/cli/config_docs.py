"""``slipway config-docs``: print the manual of the settings."""

from __future__ import annotations

import click

from app.clients.registry import ORCHESTRATORS, options_class
from app.identity.registry import AUTHENTICATORS, authenticator_class
from app.settings.manual import manual


@click.command("config-docs")
def command() -> None:
    """Print the manual of the settings; 'docs/configuration.md' is its published copy."""
    orchestrators = {type_: options_class(type_) for type_ in ORCHESTRATORS}
    sign_in = {cls.name: cls.Options for cls in map(authenticator_class, AUTHENTICATORS)}
    click.echo(manual(orchestrators, sign_in), nl=False)

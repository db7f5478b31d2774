"""``slipway master``: the service, by the name that it has for slaves."""

from __future__ import annotations

import click

from app.cli.serve import command as serve


@click.group("master")
def command() -> None:
    """Run the whole service on this machine, for slaves to join."""


command.add_command(serve, "start")

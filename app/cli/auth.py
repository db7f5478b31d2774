"""``slipway auth``: the keys that sign the service's own tokens."""

from __future__ import annotations

from pathlib import Path

import click

from app.assembly import token_service
from app.cli._options import config_option
from app.cli._store import opened_store


@click.group("auth")
def command() -> None:
    """Replace the key that signs tokens; it counts at once, whether the service runs or not."""


@command.command("rotate-key")
@config_option
@click.option(
    "--at-once", is_flag=True, help="Tokens of before are worth nothing from now on."
)  # fmt: skip
def rotate_key(config: Path | None, data_dir: Path | None, *, at_once: bool) -> None:
    """Make another key that signs from now on, and print its name.

    Tokens that were signed before go on until they end by themselves, an hour at the most.
    """
    with opened_store(config, data_dir, token_service) as tokens:
        click.echo(f"{tokens.rotate(at_once=at_once)}: signs from now on")

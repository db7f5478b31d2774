"""``slipway migrate``: bring the database to this version."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli._options import config_option
from app.cli._process import guard_process
from app.cli._settings import settings_or_exit, start_or_exit
from app.store import migrate
from app.store.database import Database


@click.command("migrate")
@config_option
def command(config: Path | None, data_dir: Path | None) -> None:
    """Bring the database to this version; 'slipway serve' does it by itself."""
    guard_process()
    settings = settings_or_exit(config, {"data_dir": data_dir})
    with start_or_exit():
        migrate.upgrade(Database(settings.database_url))
    click.echo("The database is up to date.")

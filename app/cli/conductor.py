"""``slipway conductor``: drive executions."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from app.cli._lifeline import lifeline_option, watch
from app.cli._limits import freeze_start_up
from app.cli._options import config_option, explain, settings_or_exit
from app.errors import ConfigError
from app.factory import create_conductor
from app.observability import configure_logging
from app.store import migrate
from app.store.database import Database


@click.command("conductor")
@config_option
@lifeline_option
def command(config: Path | None, data_dir: Path | None, lifeline_fd: int | None) -> None:
    """Drive executions; start as many as you like, on as many machines.

    The database must be up to date: see 'slipway migrate'.
    """
    settings = settings_or_exit(config, {"data_dir": data_dir})
    configure_logging(settings.observability.log_level, settings.observability.log_format)
    try:
        migrate.check(Database(settings.database_url))
        conductor = create_conductor(settings)
    except ConfigError as exc:
        explain(exc)
        sys.exit(2)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: conductor.stop())
    watch(lifeline_fd, conductor.stop)
    freeze_start_up()
    conductor.run()


if __name__ == "__main__":
    command()

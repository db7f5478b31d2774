"""``slipway check-config``: check the settings without starting anything."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli._options import config_option
from app.cli._run_as import check_run_as
from app.cli._settings import check_all, settings_or_exit, start_or_exit
from app.cli._tls import check_tls
from app.store.recognition import check_file


@click.command("check-config")
@config_option
def command(config: Path | None, data_dir: Path | None) -> None:
    """Check the settings as the service would read them now; nothing is started or changed.

    Every fault is told with its place, and the exit status is 2; without one it is 0.
    """
    settings = settings_or_exit(config, {"data_dir": data_dir})
    with start_or_exit():
        check_all(
            lambda: check_run_as(settings, config),
            lambda: check_tls(settings.api.tls),
            lambda: check_file(settings.database_url),
        )
    click.echo(f"{config or 'The settings'}: no fault")
    click.echo(f"web processes of 'slipway serve' on this machine: {settings.web_processes}")

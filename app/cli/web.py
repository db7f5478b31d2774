"""``slipway web``: answer HTTP."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from app.cli._options import config_option


@click.command("web")
@config_option
@click.option("--host", help="Address to listen on (SLIPWAY_API__HOST).")
@click.option("--port", type=int, help="TCP port (SLIPWAY_API__PORT).")
def command(config: Path | None, data_dir: Path | None, host: str | None, port: int | None) -> None:
    """Answer HTTP; start as many as you like, on as many machines.

    The database must be up to date: see 'slipway migrate'.
    """
    if host is not None:
        os.environ["SLIPWAY_API__HOST"] = host
    if port is not None:
        os.environ["SLIPWAY_API__PORT"] = str(port)
    arguments = ["--config", str(config)] if config else []
    arguments += ["--data-dir", str(data_dir)] if data_dir else []
    # A new process image: gevent must patch the library before anything else is imported.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "app.cli.web_process", *arguments])  # noqa: S606

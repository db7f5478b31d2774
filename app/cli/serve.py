"""``slipway serve``: the whole service on one machine."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli._options import config_option
from app.cli._process import guard_process
from app.cli._templates import begun_template


@click.command("serve")
@config_option
@click.option("--host", help="Address to listen on; default 127.0.0.1 (SLIPWAY_API__HOST).")
@click.option(
    "--port", type=int, help="TCP port, 0 for a free one; default 8080 (SLIPWAY_API__PORT)."
)
@click.option(
    "--insecure", is_flag=True, default=None, help="Allow any address without authentication."
)
def command(
    config: Path | None,
    data_dir: Path | None,
    host: str | None,
    port: int | None,
    insecure: bool | None,
) -> None:
    """Run the whole service on this machine: web and conductor, everything embedded.

    SIGTERM or Ctrl-C ends it within seconds; running commands go on and are taken up again at the
    next start.
    """
    guard_process()
    overrides = {
        "data_dir": data_dir, "api.host": host, "api.port": port, "api.insecure": insecure,
    }  # fmt: skip
    with begun_template() as template:
        # To load this takes as long as the template does, which loads the same meanwhile.
        from app.cli._serving import serve  # noqa: PLC0415

        serve(config, overrides, template)

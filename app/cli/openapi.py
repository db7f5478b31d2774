"""``slipway openapi``: print the OpenAPI document."""

from __future__ import annotations

import json
import tempfile

import click

from app.factory import create_web, read_settings
from app.observability import configure_logging


@click.command("openapi")
def command() -> None:
    """Print the OpenAPI document of the root API; 'openapi/root.json' is its published copy."""
    configure_logging("WARNING", "console")  # else the request would be told on standard output
    with tempfile.TemporaryDirectory() as folder:
        web = create_web(read_settings(None, {"data_dir": folder}, {}))
        document = web.app.test_client().get("/openapi.json").get_json()
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True))

"""``slipway validate``: check workflow definitions."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.engine.definition import parse
from app.errors import InvalidDefinition


@click.command("validate")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def command(files: tuple[Path, ...]) -> None:
    """Check workflow definitions; every fault is told with its place."""
    faulty = False
    for file in files:
        try:
            definition = parse(file.read_bytes())
        except InvalidDefinition as exc:
            faulty = True
            for fault in exc.fields:
                click.echo(f"{file}: {fault.path}: {fault.message}")
        else:
            click.echo(f"{file}: '{definition.id}' is valid, {len(definition.steps)} step(s)")
    sys.exit(1 if faulty else 0)

"""``slipway validate``: check workflow definitions."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.engine import programs
from app.engine.definition import parse
from app.engine.launchers.registry import launcher_class
from app.engine.model import Resource, StreamFile
from app.engine.resources import asked_for, not_given
from app.errors import ConfigError, InvalidDefinition


@click.command("validate")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--launcher",
    metavar="TYPE",
    help="Check also that this launcher gives what the steps ask for, such as `local`.",
)
def command(files: tuple[Path, ...], launcher: str | None) -> None:
    """Check workflow definitions; every fault is told with its place."""
    honours = _honours(launcher) if launcher else frozenset((*Resource, *StreamFile))
    faulty = False
    for file in files:
        try:
            definition = parse(file.read_bytes())
            faults = not_given(asked_for(definition.source), honours, launcher or "")
            faults += programs.faults(programs.spaced_commands(definition.source), None)
            if faults:
                raise InvalidDefinition("It asks for what there is not.", fields=faults)
        except InvalidDefinition as exc:
            faulty = True
            for fault in exc.fields:
                click.echo(f"{file}: {fault.path}: {fault.message}")
        else:
            click.echo(f"{file}: '{definition.id}' is valid, {len(definition.steps)} step(s)")
    sys.exit(1 if faulty else 0)


def _honours(launcher: str) -> frozenset[Resource | StreamFile]:
    try:
        return launcher_class(launcher).honours
    except ConfigError as exc:
        raise click.BadParameter(exc.message, param_hint="--launcher") from exc

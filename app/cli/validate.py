"""``validate``: check workflow definitions without a service."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from app.engine import programs
from app.engine.definition import parse
from app.engine.launchers.base import Launcher
from app.engine.launchers.registry import launcher_class
from app.engine.model import Definition, Preparation, StreamFile
from app.engine.resources import (
    asked_by_requests,
    asked_for,
    not_for_requests,
    not_given,
)
from app.errors import ConfigError, InvalidDefinition
from app.job_resources import Resource


@click.command("validate")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--launcher",
    metavar="TYPE",
    help="Check also that this launcher gives what the steps ask for, such as `local`.",
)
@click.option(
    "--as-json", is_flag=True, hidden=True,
    help="Read a JSON list of texts from standard input, and answer with one of what they are.",
)  # fmt: skip
def command(files: tuple[Path, ...], launcher: str | None, as_json: bool) -> None:
    """Check workflow definitions; every fault is told with its place."""
    if as_json:
        json.dump([_examined(text, launcher) for text in json.load(sys.stdin)], sys.stdout)
        return
    if not files:
        raise click.UsageError("Missing argument 'FILES...'.")
    faulty = False
    for file in files:
        try:
            definition = _checked(file.read_bytes(), launcher)
        except InvalidDefinition as exc:
            faulty = True
            for fault in exc.fields:
                click.echo(f"{file}: {fault.path}: {fault.message}")
        else:
            click.echo(f"{file}: '{definition.id}' is valid, {len(definition.steps)} step(s)")
    sys.exit(1 if faulty else 0)


def _examined(text: str, launcher: str | None) -> dict[str, Any]:
    try:
        definition = _checked(text, launcher)
    except InvalidDefinition as exc:
        faults = [{"path": fault.path, "message": fault.message} for fault in exc.fields]
        return {"detail": exc.message, "fields": faults}
    return {"id": definition.id, "name": definition.name, "steps": len(definition.steps)}


def _checked(text: str | bytes, launcher: str | None) -> Definition:
    """Return what a text defines.

    Raises:
        InvalidDefinition: It has faults, or asks for what the launcher does not give.
    """
    chosen = _class_of(launcher) if launcher else None
    honours = chosen.honours if chosen else frozenset((*Resource, *StreamFile, *Preparation))
    definition = parse(text)
    faults = not_given(asked_for(definition.source), honours, launcher or "")
    if chosen is not None and not chosen.here:
        faults += not_for_requests(asked_by_requests(definition.source))
    else:
        faults += programs.faults(programs.spaced_commands(definition.source), None)
    if faults:
        raise InvalidDefinition("It asks for what there is not.", fields=faults)
    return definition


def _class_of(launcher: str) -> type[Launcher]:
    try:
        return launcher_class(launcher)
    except ConfigError as exc:
        raise click.BadParameter(exc.message, param_hint="--launcher") from exc

"""``slipway init``: write a commented configuration and example workflows."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from app.cli._process import guard_process
from app.files import make_private_folder, write_whole

_EXAMPLES = files("app.cli") / "examples"
CONFIG_NAME = "slipway.yaml"


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def command(folder: Path) -> None:
    """Write slipway.yaml and example workflows into FOLDER; nothing is overwritten."""
    guard_process()
    try:
        written = write_examples(folder)
    except OSError as exc:
        click.echo(f"slipway: {folder} cannot be written: {exc.strerror}", err=True)
        sys.exit(1)
    if not written:
        click.echo(f"slipway: {folder} holds all of it already", err=True)
        sys.exit(1)
    for path in written:
        click.echo(f"wrote {path}")
    click.echo(f"\nNow run: slipway serve --config {folder / CONFIG_NAME}")


def write_examples(folder: Path) -> list[Path]:
    """Write the files that are not there yet, each whole, and for their owner only.

    Returns:
        Those that were written.
    """
    pairs = [(_EXAMPLES / CONFIG_NAME, folder / CONFIG_NAME)]
    return _written([*pairs, *_workflows(folder / "data" / "workflows")])


def write_workflows(folder: Path) -> None:
    """Write the example workflows, as :func:`write_examples` does.

    Raises:
        OSError: They cannot be written.
    """
    _written(_workflows(folder))


def _written(pairs: Iterable[tuple[Traversable, Path]]) -> list[Path]:
    written = []
    for source, target in pairs:
        make_private_folder(target.parent)
        with suppress(FileExistsError):
            write_whole(target, source.read_bytes(), replace=False)
            written.append(target)
    return written


def _workflows(folder: Path) -> Iterator[tuple[Traversable, Path]]:
    for source in (_EXAMPLES / "workflows").iterdir():
        if source.name.endswith(".yaml"):
            yield source, folder / source.name

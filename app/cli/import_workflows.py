"""``slipway import-workflows``: move definitions from files into the store."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.assembly import definition_importer
from app.cli._options import config_option
from app.cli._process import guard_process
from app.cli._settings import settings_or_exit, start_or_exit
from app.errors import SlipwayError
from app.store import migrate


@click.command("import-workflows")
@config_option
@click.option("--user", required=True, help="Username of who is to count as their uploader.")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def command(config: Path | None, data_dir: Path | None, user: str, files: tuple[Path, ...]) -> None:
    """Move workflow definitions from files into the store, as if they had been uploaded.

    From then on every machine offers them, and developers may replace and remove them. A file is
    deleted once its definition is stored; one with faults, or whose workflow was uploaded already,
    stays as it is.
    """
    guard_process()
    settings = settings_or_exit(config, {"data_dir": data_dir})
    with start_or_exit():
        importer, database = definition_importer(settings)
        migrate.check(database)
    failed = False
    for file in files:
        try:
            workflow_id = importer.take(file, user)
        except (SlipwayError, OSError) as exc:
            failed = True
            for sentence in _sentences(exc):
                click.echo(f"{file}: {sentence}", err=True)
        else:
            click.echo(f"{file}: '{workflow_id}' is in the store")
    sys.exit(1 if failed else 0)


def _sentences(exc: SlipwayError | OSError) -> list[str]:
    if isinstance(exc, OSError):
        return [exc.strerror or str(exc)]
    if exc.fields:
        return [f"{fault.path}: {fault.message}" for fault in exc.fields]
    return [exc.message]

"""``slipway openapi``: print, write or check the OpenAPI documents of all dialects."""

from __future__ import annotations

import json
import sys
import tempfile
from difflib import unified_diff
from pathlib import Path

import click

from app.assembly import read_settings
from app.factory import create_web
from app.observability import configure_logging
from app.resources._openapi import document_yaml

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("openapi")
@click.argument("dialect", default="root")
@click.option("--write", "target", type=_FOLDER, help="Write all documents into this folder.")
@click.option("--check", "published", type=_FOLDER, help="Compare those in this folder.")
def command(dialect: str, target: Path | None, published: Path | None) -> None:
    """Print the OpenAPI document of one dialect, or write or check those of all.

    'openapi/' holds the published copies, each dialect's as JSON and as YAML.
    """
    configure_logging("WARNING", "console")  # else the requests would be told on standard output
    if target is not None:
        for name, text in _documents().items():
            (target / name).write_text(text, encoding="utf-8")
    elif published is not None:
        sys.exit(_check(published))
    else:
        made = _documents()
        if f"{dialect}.json" not in made:
            known = sorted({Path(name).stem for name in made})
            raise click.BadParameter(f"must be one of {', '.join(known)}")
        click.echo(made[f"{dialect}.json"], nl=False)


def _check(folder: Path) -> int:
    """Print how the files in a folder differ from the documents; return the exit status."""
    made = _documents()
    files = [*folder.glob("*.json"), *folder.glob("*.yaml")]
    found = {path.name: path.read_text(encoding="utf-8") for path in files}
    for name in sorted(made.keys() | found.keys()):
        old, new = (texts.get(name, "").splitlines(True) for texts in (found, made))
        sys.stdout.writelines(unified_diff(old, new, str(folder / name), name))
    return 0 if made == found else 1


def _documents() -> dict[str, str]:
    """Make the documents of all dialects that have one, by the name of the file."""
    with tempfile.TemporaryDirectory() as folder:
        web = create_web(read_settings(None, {"data_dir": folder}, {}))
        client = web.app.test_client()
        made: dict[str, str] = {}
        for dialect in web.dialects:
            if dialect.document:
                document = client.get(dialect.document_path).get_json()
                made[f"{dialect.name}.json"] = _text(document)
                made[f"{dialect.name}.yaml"] = document_yaml(document).decode()
        return made


def _text(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"

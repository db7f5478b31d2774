"""``slipway man``: the manual."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.cli import manual
from slipway.cli.codes import ExitCode, Failure
from slipway.cli.options import command as of_table
from slipway.cli.shell import Shell
from slipway.cli.table import find


@of_table("man")
@click.argument("words", nargs=-1, metavar="[COMMAND]")
@click.option(
    "--write", "folder", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
    help="Write all pages into a folder, such as ~/.local/share/man/man1.",
)  # fmt: skip
def command(shell: Shell, words: tuple[str, ...], folder: Path | None) -> None:
    """Print a page of the manual in the language of man(1), or write all of them.

    Without a command it is the page of slipway itself.
    """
    if folder is not None:
        _write(shell, folder)
        return
    if not words:
        shell.out.write(manual.main_page().rstrip("\n"))
        return
    name = " ".join(words)
    entry = find(name)
    if entry is None or entry.service:
        raise Failure(f"There is no page on '{name}'.", code=ExitCode.USAGE, hint="slipway --help")
    shell.out.write(manual.page(entry).rstrip("\n"))


def _write(shell: Shell, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for name, text in manual.pages():
        (folder / f"{name}.1").write_text(text, encoding="utf-8")
        written += 1
    shell.say(f"{written} pages were written into {folder}.")

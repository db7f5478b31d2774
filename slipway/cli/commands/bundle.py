"""``slipway bundle``: all that is known of an execution, for the help desk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from slipway.cli.codes import ExitCode, Failure
from slipway.cli.ids import find
from slipway.cli.options import command as command_of
from slipway.cli.views import short
from slipway.private_files import write_whole

if TYPE_CHECKING:
    from slipway.cli.shell import Shell

_STDOUT: Final = "-"


@command_of("bundle")
@click.argument("execution", required=False, metavar="[ID]")
@click.option(
    "--out", "file", metavar="FILE",
    help="Where it is written, slipway-ID.zip in this folder unless given; - is standard output.",
)  # fmt: skip
def command(shell: Shell, *, execution: str | None, file: str | None) -> None:
    """Save all that is known of an execution as one ZIP archive, without secrets.

    History, steps, definition, log and versions; README.txt in it says what is what. It is of the
    latest one of yours unless told otherwise. What a command printed may be a secret that nobody
    knows of: look at the log before you give it to somebody else.
    """
    found = find(shell, execution)
    if file == _STDOUT:
        if sys.stdout.isatty():
            raise Failure("An archive is nothing for a terminal.", hint="Give a file: --out FILE")
        sys.stdout.buffer.write(found.bundle())
        return
    target = Path(file or f"slipway-{found.id}.zip")
    if target.is_dir():
        target /= f"slipway-{found.id}.zip"
    content = found.bundle()
    _save(target, content)
    document = {"id": found.id, "file": str(target), "bytes": len(content)}
    shell.out.record(
        document, name=str(target),
        text=lambda: f"{short(found.id)} is in {target} ({_size(len(content))}).",
    )  # fmt: skip


def _save(target: Path, content: bytes) -> None:
    """Write a file as a whole, or not at all; a pipe or a device stays what it is.

    Raises:
        Failure: It cannot be written.
    """
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(content)
        else:
            write_whole(target, content)
    except OSError as exc:
        raise Failure(
            f"{target} cannot be written: {exc.strerror}.", hint="Give another one: --out FILE",
            code=ExitCode.FAILED,
        ) from None  # fmt: skip


def _size(number: int) -> str:
    return f"{number / 2**20:.1f} MiB" if number >= 2**20 else f"{max(1, number >> 10)} KiB"

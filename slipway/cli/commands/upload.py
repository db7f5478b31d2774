"""``slipway upload``: make a definition a workflow that others can launch."""

from __future__ import annotations

from shlex import quote

import click

from slipway.cli.codes import ExitCode, Failure
from slipway.cli.definition_files import findings, read_definition, told
from slipway.cli.options import command as of_table
from slipway.cli.output import clean
from slipway.cli.shell import Shell
from slipway.errors import Conflict, InvalidInput


@of_table("upload")
@click.argument("file")
@click.option("--replace", is_flag=True, help="Put it in the place of the one with its id.")
def command(shell: Shell, file: str, replace: bool) -> int | None:
    """Upload the definition in FILE; - is standard input. Its faults are shown at their places."""
    definition = read_definition(file)
    place = definition.id if replace else None
    try:
        info = shell.client.upload(
            definition.text, replace=place or None, media_type=definition.media_type
        )
    except Conflict as exc:
        if replace:
            raise
        raise Failure(str(exc), hint=f"slipway upload {quote(file)} --replace") from None
    except InvalidInput as exc:
        if not exc.fields:
            raise
        shell.say(f"{clean(definition.file)} was not uploaded; it has faults.")
        for line in told(definition, findings(definition, exc.fields)):
            shell.say(line)
        return ExitCode.FAILED

    def text() -> str:
        version = f", version {info.version}" if info.version else ""
        return f"{clean(info.name)} is uploaded{version}. Run it: slipway run {clean(info.id)} -f"

    shell.out.record(info.raw, name=info.id, text=text)
    return None

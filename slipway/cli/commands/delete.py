"""``slipway delete``: remove workflows that were uploaded."""

from __future__ import annotations

import click

from slipway.cli.codes import ExitCode
from slipway.cli.options import command as of_table
from slipway.cli.output import clean
from slipway.cli.shell import Shell
from slipway.cli.workflow_names import unknown
from slipway.errors import NotFound


@of_table("delete")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(shell: Shell, names: tuple[str, ...], yes: bool) -> int:
    """Remove workflows that were uploaded; executions of them go on."""
    names = tuple(dict.fromkeys(names))
    if len(names) > 1 and not shell.confirm(f"Delete {len(names)} workflows", yes=yes):
        shell.say("Nothing was deleted.")
        return ExitCode.SUCCESS
    code = ExitCode.SUCCESS
    deleted = []
    for name in names:
        try:
            shell.client.delete_workflow(name)
        except NotFound as exc:
            failure = unknown(shell.client, name, exc)
            shell.say(f"slipway: {failure.message}")
            code = failure.code
        else:
            deleted.append(name)
            if shell.out.format in ("table", "wide"):
                shell.out.write(f"{clean(name)} is deleted.")
    if shell.out.format not in ("table", "wide"):
        shell.out.records(deleted, (), name=str, document=lambda name: {"deleted": name})
    return code

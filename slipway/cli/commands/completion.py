"""``slipway completion``: what makes a shell complete words at TAB."""

from __future__ import annotations

import click

from slipway.cli.completion import SHELLS, script
from slipway.cli.options import command as of_table
from slipway.cli.shell import Shell


@of_table("completion")
@click.argument("shell_name", metavar="SHELL", type=click.Choice(SHELLS))
def command(shell: Shell, shell_name: str) -> None:
    """Print what makes a shell complete commands, options, workflows, inputs and executions.

    SHELL is bash, zsh or fish. What is printed asks no service; that is done at TAB, for a second
    at the most, with the login that counts then.
    """
    shell.out.write(script(shell_name).rstrip("\n"))

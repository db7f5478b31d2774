"""``slipway purge``: remove executions for good, through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slipway.cli.options import command as command_of
from slipway.cli.steering import steer, yes_option

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.execution import Execution


@command_of("purge")
@click.argument("executions", nargs=-1, required=True, metavar="ID...")
@yes_option
def command(shell: Shell, *, executions: tuple[str, ...], yes: bool) -> int:
    """Remove executions that have ended, with their logs, outputs and files, for good.

    On the machine of the service itself, --older-than, --what, --dry-run, --config or --data-dir do
    it without asking the service.
    """
    return steer(shell, executions, "Remove for good", _purge, yes=yes, always=True)


def _purge(execution: Execution) -> str:
    execution.purge()
    return "is removed for good."

"""``slipway pause``: let executions begin no further step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slipway.cli.options import command as command_of
from slipway.cli.steering import steer, yes_option

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.execution import Execution


@command_of("pause")
@click.argument("executions", nargs=-1, metavar="[ID]...")
@yes_option
def command(shell: Shell, *, executions: tuple[str, ...], yes: bool) -> int:
    """Pause executions: no further step begins. The latest one of yours unless told otherwise.

    What runs an execution may be unable to; then that is said, and the code is 2.
    """
    return steer(shell, executions, "Pause", _pause, yes=yes)


def _pause(execution: Execution) -> str:
    execution.pause()
    return f"is to pause; it is {execution.refresh().state}."

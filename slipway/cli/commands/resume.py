"""``slipway resume``: let paused executions go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slipway.cli.options import command as command_of
from slipway.cli.steering import steer, yes_option

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.execution import Execution


@command_of("resume")
@click.argument("executions", nargs=-1, metavar="[ID]...")
@yes_option
def command(shell: Shell, *, executions: tuple[str, ...], yes: bool) -> int:
    """Let paused executions go on; the latest one of yours unless told otherwise."""
    return steer(shell, executions, "Resume", _resume, yes=yes)


def _resume(execution: Execution) -> str:
    execution.resume()
    return f"goes on; it is {execution.refresh().state}."

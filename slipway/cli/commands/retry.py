"""``slipway retry``: go on with what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slipway.cli.executions import workflow_of
from slipway.cli.ids import find
from slipway.cli.launching import see_through, watch_options
from slipway.cli.options import command as command_of
from slipway.cli.views import short

if TYPE_CHECKING:
    from slipway.cli.shell import Shell


@command_of("retry")
@click.argument("execution", metavar="ID")
@watch_options
def command(shell: Shell, *, execution: str, follow: bool, wait: bool) -> int:
    """Go on with an execution that failed or was cancelled, in a new one.

    What succeeded is kept with its outputs, and the rest runs. In a pipe the id of the new one is
    printed, and nothing else.
    """
    found = find(shell, execution)
    new = found.retry()
    if shell.out.width is not None:
        shell.say(f"{short(new.id)} goes on from {short(found.id)}.")
    return see_through(shell, workflow_of(new.seen), new, follow=follow, wait=wait)

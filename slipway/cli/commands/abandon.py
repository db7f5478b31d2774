"""``slipway abandon``: end executions that nothing else ends, through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slipway.cli.options import command as command_of
from slipway.cli.steering import steer, yes_option

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.execution import Execution


@command_of("abandon")
@click.argument("executions", nargs=-1, required=True, metavar="ID...")
@yes_option
def command(shell: Shell, *, executions: tuple[str, ...], yes: bool) -> int:
    """End executions that nothing else ends: they have failed, whatever still runs of them.

    Cancel first; this is for those whose machine is gone for good, and for operators. On the
    machine of the service itself, --machine, --config or --data-dir do it without asking the
    service.
    """
    return steer(shell, executions, "Abandon", _abandon, yes=yes)


def _abandon(execution: Execution) -> str:
    execution.abandon()
    return "is abandoned; it has FAILED."

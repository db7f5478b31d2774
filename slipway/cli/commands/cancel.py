"""``slipway cancel``: end executions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slipway.cli.options import command as command_of
from slipway.cli.steering import steer, yes_option

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.execution import Execution


@command_of("cancel")
@click.argument("executions", nargs=-1, required=True, metavar="ID...")
@yes_option
def command(shell: Shell, *, executions: tuple[str, ...], yes: bool) -> int:
    """Cancel executions; what runs of them is ended. One that is over already is no fault."""
    return steer(shell, executions, "Cancel", _cancel, yes=yes)


def _cancel(execution: Execution) -> str:
    from slipway.errors import Conflict  # noqa: PLC0415  (it is loaded with the client)

    try:
        execution.cancel()
    except Conflict:
        if not execution.refresh().is_final:
            raise
        return f"was over already ({execution.state})."
    state = execution.refresh().state
    return f"{state}." if state in ("CANCELLING", "CANCELLED") else f"is to end; it is {state}."

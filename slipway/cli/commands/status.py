"""``slipway status``: how an execution stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slipway.cli.executions import lines_of, result_code
from slipway.cli.follow import await_end, goes_on, say_end
from slipway.cli.ids import find
from slipway.cli.options import command as command_of

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.models import ExecutionState


@command_of("status")
@click.argument("execution", required=False, metavar="[ID]")
@click.option(
    "-f", "--follow", "follows", is_flag=True,
    help="Show it until it has ended, with a bar for each step; end with its result.",
)  # fmt: skip
def command(shell: Shell, *, execution: str | None, follows: bool) -> int | None:
    """Show how an execution stands, step by step; the latest one of yours unless told otherwise."""
    found = find(shell, execution)
    if not follows:
        _write(shell, found.whole())
        return None
    with goes_on(shell, [found.id]):
        (ended,) = await_end(shell, [found])
    if isinstance(ended, Exception):
        raise ended
    say_end(shell, found)
    if shell.out.format != "table":
        _write(shell, ended)
    return result_code([ended])


def _write(shell: Shell, state: ExecutionState) -> None:
    shell.out.record(state.raw, name=state.id, text=lambda: "\n".join(lines_of(state, shell.out)))

"""``slipway tasks``: the steps of an execution."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from slipway.cli.executions import task_columns
from slipway.cli.ids import find
from slipway.cli.options import command as command_of

if TYPE_CHECKING:
    from slipway.cli.shell import Shell


@command_of("tasks")
@click.argument("execution", required=False, metavar="[ID]")
def command(shell: Shell, *, execution: str | None) -> None:
    """List the steps of an execution; of the latest one of yours unless told otherwise."""
    tasks = find(shell, execution).whole().tasks or ()
    shell.out.records(
        tasks, task_columns(datetime.now(UTC)),
        name=lambda task: task.name, document=lambda task: task.raw, empty="It has no steps yet.",
    )  # fmt: skip

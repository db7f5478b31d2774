"""``slipway scale``: change how many virtual users an execution has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slipway.cli.ids import find
from slipway.cli.options import command as command_of
from slipway.cli.views import short

if TYPE_CHECKING:
    from slipway.cli.shell import Shell


@command_of("scale")
@click.argument("execution", metavar="ID")
@click.argument("number", type=click.IntRange(0), metavar="N")
def command(shell: Shell, *, execution: str, number: int) -> None:
    """Ask for N virtual users in all, of an execution that runs or is paused."""
    found = find(shell, execution)
    found.scale(number)
    shell.out.record(
        {"id": found.id, "target_vus": number}, name=found.id,
        text=lambda: f"{short(found.id)} is to have {number} virtual users.",
    )  # fmt: skip

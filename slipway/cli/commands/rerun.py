"""``slipway rerun``: launch once more what was launched before."""

from __future__ import annotations

import click

from slipway.cli.ids import find
from slipway.cli.launching import (
    asked,
    input_options,
    label_options,
    launch,
    see_through,
    watch_options,
)
from slipway.cli.options import command as of_table
from slipway.cli.shell import Shell
from slipway.cli.workflow_names import described


@of_table("rerun")
@click.argument("execution", required=False, metavar="[ID]")
@input_options
@watch_options
@label_options
def command(
    shell: Shell,
    execution: str | None,
    *,
    pairs: tuple[str, ...],
    inputs_file: str | None,
    follow: bool,
    wait: bool,
    called: str | None,
    labels: tuple[str, ...],
) -> int:
    """Launch the same workflow with the same inputs, but for those that are given.

    Without ID it is your latest execution. Name and labels are those of before, too, unless others
    are given; the definition is the one of now.
    """
    wanted = asked(pairs, inputs_file, called, labels)
    earlier = find(shell, execution)
    base = earlier.inputs
    seen = earlier.seen
    found = described(shell.client, seen.workflow, seen.orchestrator or None)
    wanted = wanted._replace(
        name=wanted.name or seen.name, labels=wanted.labels or dict(seen.labels) or None
    )
    launched = launch(shell, found, wanted, base)
    return see_through(shell, found.name, launched, follow=follow, wait=wait)
